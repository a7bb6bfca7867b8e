#include <optional>
#include <tuple>

#include "common/dispatch.h"
#include "common/mixture_shapes.h"
#include "cuda/device.cuh"
#include "cuda/operator.h"

namespace latentcore {
namespace {

constexpr int kThreads = 128;

struct Inputs {
  const double *n_k, *first, *second, *means;  // n_k with its guard
};

struct Outputs {
  double *weights, *means, *covariances, *factors;
  double* work;  // like the covariances
};

struct MStepShape {
  CovarianceType type;
  int64_t batch, K, D;
};

// One component of one mixture, in the hands of a block.
struct Component {
  MStepShape shape;
  Inputs in;  // of the mixture
  int64_t k;

  __device__ double shift(int64_t i) const { return shift(k, i); }
  __device__ double shift(int64_t component, int64_t i) const {
    return in.first[component * shape.D + i] / in.n_k[component];
  }
  __device__ double total() const {
    double sum = 0;
    for (int64_t j = 0; j < shape.K; ++j) sum += in.n_k[j];
    return sum;
  }
  // An entry of the covariance, without what regularises it.
  __device__ double entry(int64_t i, int64_t j) const {
    const int64_t D = shape.D;
    if (shape.type == CovarianceType::full) {
      return in.second[(k * D + i) * D + j] / in.n_k[k] - shift(i) * shift(j);
    }
    double between = 0;
    for (int64_t c = 0; c < shape.K; ++c) between += in.n_k[c] * shift(c, i) * shift(c, j);
    return (in.second[i * D + j] - between) / total();
  }
  // The variance of dimension i, or the mean of all.
  __device__ double variance(int64_t i) const {
    if (shape.type == CovarianceType::diag) {
      return in.second[k * shape.D + i] / in.n_k[k] - shift(i) * shift(i);
    }
    double squares = 0;
    for (int64_t j = 0; j < shape.D; ++j) squares += shift(j) * shift(j);
    return (in.second[k] / in.n_k[k] - squares) / static_cast<double>(shape.D);
  }
};

// The rows of `matrix` (D, D), symmetric and positive definite, become those of U with matrix = U^T U; the lower
// triangle is not read. The whole block calls it, and gets the same answer.
__device__ inline bool factorise(double* matrix, int64_t D) {
  const auto thread = static_cast<int64_t>(threadIdx.x);
  for (int64_t k = 0; k < D; ++k) {
    double* pivot = matrix + k * D;
    const double diagonal = pivot[k];
    if (!(diagonal > 0 && diagonal <= 1.7976931348623157e308)) return false;
    const double root = sqrt(diagonal);
    __syncthreads();  // all have read it
    for (int64_t j = k + thread; j < D; j += kThreads) pivot[j] /= root;
    __syncthreads();
    const int64_t rest = D - k - 1;
    for (int64_t e = thread; e < rest * rest; e += kThreads) {
      const int64_t i = k + 1 + e / rest, j = k + 1 + e % rest;
      if (j >= i) matrix[i * D + j] -= pivot[i] * pivot[j];
    }
    __syncthreads();
  }
  return true;
}

// out = the inverse of the upper triangular U, zeros below: a thread per column.
__device__ inline void invert(const double* U, int64_t D, double* out) {
  for (int64_t j = threadIdx.x; j < D; j += kThreads) {
    for (int64_t i = D - 1; i >= 0; --i) {
      double sum = i == j ? 1 : 0;
      for (int64_t c = i + 1; c <= j; ++c) sum -= U[i * D + c] * out[c * D + j];
      out[i * D + j] = i <= j ? sum / U[i * D + i] : 0;
    }
  }
}

__global__ void __launch_bounds__(kThreads, 4)
    m_step_kernel(MStepShape shape, double reg_covar, Inputs in, Outputs out) {
  const double nan = __builtin_nan("");
  const int64_t K = shape.K, D = shape.D, item = blockIdx.x, b = item / K, k = item % K;
  const bool triangular = is_triangular(shape.type), tied = shape.type == CovarianceType::tied;
  const int64_t size = triangular ? D * D : (shape.type == CovarianceType::diag ? D : 1);
  const int64_t at = (tied ? b : item) * size, mixture = tied ? b * size : b * K * size;
  const Component component{
      shape, {in.n_k + b * K, in.first + b * K * D, in.second + mixture, in.means + b * K * D}, k};
  if (threadIdx.x == 0) out.weights[item] = component.in.n_k[k] / component.total();
  for (int64_t i = threadIdx.x; i < D; i += kThreads) {
    out.means[item * D + i] = in.means[item * D + i] + component.shift(i);
  }
  if (tied && k != 0) return;
  if (!triangular) {
    for (int64_t i = threadIdx.x; i < size; i += kThreads) {
      // rounding may bring a variance of 0 below it
      const double variance = component.variance(i), covariance = (variance < 0 ? 0 : variance) + reg_covar;
      out.covariances[at + i] = covariance;
      out.factors[at + i] = covariance > 0 ? 1 / sqrt(covariance) : nan;
    }
    return;
  }
  double* work = out.work + at;
  for (int64_t e = threadIdx.x; e < size; e += kThreads) {
    const int64_t i = e / D, j = e % D;
    work[e] = out.covariances[at + e] = component.entry(i, j) + (i == j ? reg_covar : 0);
  }
  __syncthreads();
  if (factorise(work, D)) {
    invert(work, D, out.factors + at);
  } else {
    for (int64_t e = threadIdx.x; e < size; e += kThreads) out.factors[at + e] = nan;
  }
}

// What is added to the numbers of samples, in the unit of a sample's weight.
struct CountGuard {
  double guard = 0;
  const double* mean_weights = nullptr;  // (batch); without them a sample counts once
  int64_t K = 1;

  __device__ double operator()(int64_t i) const {
    return mean_weights == nullptr ? guard : guard * mean_weights[i / K];
  }
};

// The statistics of any type in double, plus their guard.
template <class T>
__global__ void __launch_bounds__(kThreads) widen_kernel(const T* source, int64_t size, CountGuard guard, double* out) {
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < size;
       i += static_cast<int64_t>(gridDim.x) * kThreads) {
    out[i] = static_cast<double>(load(source[i])) + guard(i);
  }
}

unsigned int grid_of(int64_t blocks) {
  STD_TORCH_CHECK(blocks < (int64_t{1} << 31), "means: expected fewer mixtures");
  return static_cast<unsigned int>(blocks);
}

Tensor doubles(const Tensor& tensor_, const char* name, const CountGuard& guard = {}) {
  const Tensor tensor = as_contiguous(tensor_);
  const Tensor result = allocate(tensor, {tensor.numel()}, ScalarType::Double);
  if (tensor.numel() == 0) return result;
  dispatch_floating(tensor.scalar_type(), name, [&](auto type) {
    using T = typename decltype(type)::type;
    launch({grid_of((tensor.numel() + kThreads - 1) / kThreads), kThreads, 0, current_stream(tensor)}, widen_kernel<T>,
           data<T>(tensor), tensor.numel(), guard, mutable_data<double>(result));
    check_launch("gmm_m_step");
  });
  return result;
}

std::tuple<Tensor, Tensor, Tensor, Tensor> gmm_m_step(const Tensor& n_k_, const Tensor& first_, const Tensor& second_,
                                                      const Tensor& means_, const std::string& covariance_type,
                                                      double reg_covar, const std::optional<Tensor>& mean_weight_) {
  const MixtureSizes sizes = check_m_step(n_k_, first_, second_, means_, covariance_type, mean_weight_);
  const DeviceGuard guard(means_.get_device_index());
  std::optional<Tensor> mean_weight;
  if (mean_weight_) mean_weight = doubles(*mean_weight_, "mean_weight");
  const CountGuard count{count_guard(n_k_.scalar_type()), mean_weight ? data<double>(*mean_weight) : nullptr, sizes.K};
  const Tensor n_k = doubles(n_k_, "n_k", count), first = doubles(first_, "first");
  const Tensor second = doubles(second_, "second"), old_means = doubles(means_, "means");
  const auto output = [&](const std::vector<int64_t>& rest) {
    return allocate(means_, batched(means_, rest), ScalarType::Double);
  };
  const std::vector<int64_t> shape = covariance_shape(sizes.type, sizes.K, sizes.D);
  const Tensor weights = output({sizes.K}), means = output({sizes.K, sizes.D});
  const Tensor covariances = output(shape), factors = output(shape), work = output(shape);
  if (sizes.batch > 0) {
    launch({grid_of(sizes.batch * sizes.K), kThreads, 0, current_stream(means_)}, m_step_kernel,
           MStepShape{sizes.type, sizes.batch, sizes.K, sizes.D}, reg_covar,
           Inputs{data<double>(n_k), data<double>(first), data<double>(second), data<double>(old_means)},
           Outputs{mutable_data<double>(weights), mutable_data<double>(means), mutable_data<double>(covariances),
                   mutable_data<double>(factors), mutable_data<double>(work)});
    check_launch("gmm_m_step");
  }
  return {weights, means, covariances, factors};
}

}  // namespace

LATENTCORE_CUDA_OPERATORS(m) { m.impl("gmm_m_step", TORCH_BOX(&gmm_m_step)); }

}  // namespace latentcore
