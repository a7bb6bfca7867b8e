// The M-step of one small mixture in the hands of a block: a thread per component, its matrix in registers.
#pragma once

#include "cuda/mixture_small.cuh"

namespace latentcore {
namespace {

constexpr int kEmThreads = 64;
constexpr int64_t kEmMostComponents = 32;  // a thread for each; what they keep in shared memory fits every card

// scikit-learn's shapes, all mixtures of the batch
struct EmParameters {
  double *weights, *means, *covariances, *factors;
};

// A block's shared memory: what an iteration hands from the statistics to the M-step and back.
template <class C, int Dims, bool triangular>
struct EmWork {
  using Component = SmallComponent<C, Dims, triangular>;
  using Sums = SmallSums<C, Dims, triangular>;
  static constexpr int kPartial = Sums::kCount * (kEmThreads / kWarp);
  double *sums, *partial, *log_likelihood, *weight, *guard, *failed;
  Component* components;

  __device__ EmWork(const MixtureShape& shape, double* memory)
      : sums(memory),
        partial(sums + shape.K * Sums::kSize),
        log_likelihood(partial + kPartial),
        weight(log_likelihood + 1),
        guard(weight + 1),
        failed(guard + 1),
        components(reinterpret_cast<Component*>(failed + 1)) {}

  static size_t bytes(const MixtureShape& shape) {
    const auto K = static_cast<size_t>(shape.K);
    return sizeof(double) * (K * Sums::kSize + kPartial + 4) + K * sizeof(Component);
  }
};

// The thread's component in one M-step; threads without one do nothing but meet the others.
template <class C, int Dims, bool triangular>
class EmMStep {
 public:
  using Component = SmallComponent<C, Dims, triangular>;
  using Work = EmWork<C, Dims, triangular>;
  using Sums = SmallSums<C, Dims, triangular>;

  __device__ EmMStep(const MixtureShape& shape_, int64_t b_, double reg_covar_)
      : shape(shape_), b(b_), k(static_cast<int>(threadIdx.x)), reg_covar(reg_covar_) {}

  // The parameters that were handed in.
  __device__ void start(const Work& work, const EmParameters& given) {
    if (k >= shape.K) return;
    weight = given.weights[b * shape.K + k];
    each_mean([&](int i, int64_t place) { mean[i] = given.means[place]; });
    each_entry([&](int i, int j, int64_t place) { factor[at(i, j)] = given.factors[place]; });
    hand_over(work.components[k]);
  }

  // Finds the parameters of the thread's component. The block meets, and agrees whether all have a positive definite
  // covariance.
  __device__ bool run(const Work& work) {
    if (threadIdx.x == 0) *work.failed = 0;
    __syncthreads();
    if (k < shape.K && !solve(work)) *work.failed = 1;
    __syncthreads();
    return *work.failed == 0;
  }

  // Writes what `run` found, for the next iteration and for the caller. The block meets before either reads.
  __device__ void publish(const Work& work, const EmParameters& out) {
    if (k < shape.K) {
      out.weights[b * shape.K + k] = weight;
      each_mean([&](int i, int64_t place) { out.means[place] = mean[i]; });
      if (shape.type != CovarianceType::tied || k == 0) write_matrices(work, out);
      hand_over(work.components[k]);
    }
    __syncthreads();
  }

 private:
  static constexpr int kEntries = triangular ? Dims * (Dims + 1) / 2 : Dims;  // of the upper triangle, row by row
  MixtureShape shape;
  int64_t b;
  int k;
  double reg_covar, weight = 0, mean[Dims] = {}, moved[Dims] = {}, factor[kEntries] = {};

  __device__ static constexpr int at(int i, int j) { return triangular ? i * Dims - i * (i - 1) / 2 + j - i : j; }

  // body(i, j, place among the factors or covariances of the batch) for the entries of the upper triangle
  template <class Body>
  __device__ void each_entry(const Body& body) {
    const auto D = static_cast<int>(shape.D);
    const int64_t matrix = shape.type == CovarianceType::tied ? b : b * shape.K + k;
#pragma unroll
    for (int i = 0; i < Dims; ++i) {
#pragma unroll
      for (int j = i; j < (triangular ? Dims : i + 1); ++j) {
        if (j >= D) continue;
        const int64_t place =
            triangular ? (matrix * D + i) * D + j : (shape.type == CovarianceType::diag ? matrix * D + j : matrix);
        body(i, j, place);
      }
    }
  }
  template <class Body>
  __device__ void each_mean(const Body& body) {
#pragma unroll
    for (int i = 0; i < Dims; ++i) {
      if (i < shape.D) body(i, (b * shape.K + k) * shape.D + i);
    }
  }

  __device__ void write_matrices(const Work& work, const EmParameters& out) {
    const double all = total(work);
    each_entry([&](int i, int j, int64_t place) {
      out.factors[place] = factor[at(i, j)];
      out.covariances[place] = covariance(work, all, i, j);
      if (i == j) return;
      const int64_t mirrored = place + (j - i) * (shape.D - 1);
      out.factors[mirrored] = 0;
      out.covariances[mirrored] = out.covariances[place];
    });
  }

  // The parameters as the E-step reads them.
  __device__ void hand_over(Component& out) {
    double log_det = 0;
#pragma unroll
    for (int e = 0; e < (triangular ? Dims * Dims : Dims); ++e) out.factor[e] = 0;
#pragma unroll
    for (int i = 0; i < Dims; ++i) out.mean[i] = i < shape.D ? static_cast<C>(mean[i]) : C(0);
    each_entry([&](int i, int j, int64_t) {
      out.factor[triangular ? i * Dims + j : j] = static_cast<C>(factor[at(i, j)]);
      if (i == j) log_det += log(factor[at(i, j)]);
    });
    out.offset = static_cast<C>(gaussian_log_normalizer(log_det, shape.D) + log(weight));
  }

  // How many samples component c has, how far its mean moves, and its second moments about the mean it had.
  __device__ static double count(const Work& work, int c) { return work.sums[c * Sums::kSize] + *work.guard; }
  __device__ static double shift(const Work& work, int c, int i) {
    return work.sums[c * Sums::kSize + 1 + i] / count(work, c);
  }
  __device__ static double second(const Work& work, int c, int i, int j) {
    return work.sums[c * Sums::kSize + 1 + Dims + at(i, j)];
  }

  __device__ double total(const Work& work) const {
    double sum = 0;
    for (int c = 0; c < shape.K; ++c) sum += count(work, c);
    return sum;
  }

  // An entry of the covariance.
  __device__ double covariance(const Work& work, double all, int i, int j) const {
    if (shape.type == CovarianceType::tied) {
      double sum = 0;
      for (int c = 0; c < shape.K; ++c) {
        sum += second(work, c, i, j) - count(work, c) * shift(work, c, i) * shift(work, c, j);
      }
      return sum / all + (i == j ? reg_covar : 0);
    }
    const double n = count(work, k);
    double variance = second(work, k, i, j) / n - moved[i] * moved[j];
    if (triangular) return variance + (i == j ? reg_covar : 0);
    if (shape.type == CovarianceType::spherical) {
      variance = 0;
#pragma unroll
      for (int e = 0; e < Dims; ++e) variance += e < shape.D ? second(work, k, e, e) / n - moved[e] * moved[e] : 0;
      variance /= static_cast<double>(shape.D);
    }
    return (variance < 0 ? 0 : variance) + reg_covar;  // rounding may bring a variance of 0 below it
  }

  __device__ bool solve(const Work& work) {
    const double all = total(work);
    weight = count(work, k) / all;
#pragma unroll
    for (int i = 0; i < Dims; ++i) {
      moved[i] = shift(work, k, i);
      mean[i] = static_cast<double>(work.components[k].mean[i]) + moved[i];
    }
    each_entry([&](int i, int j, int64_t) { factor[at(i, j)] = covariance(work, all, i, j); });
    if constexpr (triangular) {
      return factorise();
    } else {
      return invert_roots();
    }
  }

  // factor = 1 / sqrt(factor)
  __device__ bool invert_roots() {
    bool valid = true;
    each_entry([&](int i, int j, int64_t) {
      double& entry = factor[at(i, j)];
      valid = valid && entry > 0;
      entry = 1 / sqrt(entry);
      valid = valid && entry > 0;  // 0: the variance had overflowed
    });
    return valid;
  }

  // factor = the inverse of U with factor = U^T U
  __device__ bool factorise() {
    bool valid = true;
#pragma unroll
    for (int p = 0; p < Dims; ++p) {
      if (p >= shape.D) continue;
      const double pivot = factor[at(p, p)];
      valid = valid && pivot > 0 && pivot - pivot == 0;
      const double root = sqrt(pivot);
#pragma unroll
      for (int j = p; j < Dims; ++j) factor[at(p, j)] /= root;
#pragma unroll
      for (int i = p + 1; i < Dims; ++i) {
#pragma unroll
        for (int j = i; j < Dims; ++j) factor[at(i, j)] -= factor[at(p, i)] * factor[at(p, j)];
      }
    }
#pragma unroll
    for (int j = 0; j < Dims; ++j) {
      if (j >= shape.D) continue;
      const double inverse = 1 / factor[at(j, j)];
#pragma unroll
      for (int i = 0; i < j; ++i) {
        double sum = 0;
#pragma unroll
        for (int c = i; c < j; ++c) sum += factor[at(i, c)] * factor[at(c, j)];
        factor[at(i, j)] = -inverse * sum;
      }
      factor[at(j, j)] = inverse;
    }
    return valid;
  }
};

}  // namespace
}  // namespace latentcore
