#include <tuple>

#include "common/mixture_arguments.h"
#include "cuda/em_m_step.cuh"
#include "cuda/operator.h"

namespace latentcore {
namespace {

using Fit = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor>;

// What stops a mixture.
struct EmLimits {
  int64_t max_iter;
  double tol, reg_covar;
};

template <class C>
struct EmOutputs {
  EmParameters parameters;  // as handed in, brought up to date by every iteration
  double* lower_bounds;     // (batch, max_iter)
  bool* converged;          // (batch)
  C* norms;                 // (batch, N), for mixtures of more components than the registers sum at once
};

// The statistics of a mixture about the means in `components`, into `sums`; the whole block gets the log-likelihood.
template <int Dims, bool triangular, class T>
__device__ double em_statistics(const MixtureShape& shape, int64_t b, const T* x, const WeightedSamples<T>& samples,
                                const EmWork<compute_t<T>, Dims, triangular>& work, compute_t<T>* norms) {
  using C = compute_t<T>;
  using Sums = SmallSums<C, Dims, triangular>;
  const auto thread = static_cast<int>(threadIdx.x), K = static_cast<int>(shape.K);
  const bool whole = K <= Sums::kGroup;
  double log_likelihood = 0;
  C sample[Dims], difference[Dims];
  for (int64_t row = b * shape.N + thread; row < (b + 1) * shape.N && !whole; row += kEmThreads) {
    load_sample(x, row, shape.D, samples, sample);
    LogSum<C> total;
    for (int k = 0; k < K; ++k) total.add(work.components[k].log_joint(sample, difference));
    norms[row] = total.value();
    if (samples(row)) log_likelihood += static_cast<double>(samples.weight(row) * total.value());
  }
  const Responsibilities<T> responsibilities{norms, nullptr, samples};
  for (int first = 0; first < K; first += Sums::kGroup) {
    const int count = min(K - first, Sums::kGroup);
    Sums total;
    for (int64_t row = b * shape.N + thread; row < (b + 1) * shape.N; row += kEmThreads) {
      if (whole) {
        load_sample(x, row, shape.D, samples, sample);
        total.add_to_all(work.components, count, sample, samples.weight(row));
        continue;
      }
      load_sample(x, row, shape.D, responsibilities, sample);
#pragma unroll
      for (int c = 0; c < Sums::kGroup; ++c) {
        if (c >= count) break;
        const C joint = work.components[first + c].log_joint(sample, difference);
        total.add(c, responsibilities.of(row, K, first + c, joint), difference);
      }
    }
    total.template reduce<kEmThreads>(work.partial, [&](int e, double sum) {
      if (e == Sums::kCount - 1) *work.log_likelihood = sum;
      if (e < count * Sums::kSize) work.sums[first * Sums::kSize + e] = sum;
    });
    __syncthreads();
  }
  if (whole) return *work.log_likelihood;
  log_likelihood = block_sum<kEmThreads>(log_likelihood);
  if (thread == 0) *work.log_likelihood = log_likelihood;
  __syncthreads();
  return *work.log_likelihood;
}

// A block does all iterations of one mixture.
template <int Dims, bool triangular, class T>
__global__ void __launch_bounds__(kEmThreads) em_kernel(MixtureShape shape, EmLimits limits, const T* x,
                                                        WeightedSamples<T> samples, EmOutputs<compute_t<T>> out) {
  using C = compute_t<T>;
  const int64_t b = blockIdx.x;
  const auto thread = static_cast<int>(threadIdx.x);
  const EmWork<C, Dims, triangular> work(shape, dynamic_shared<double>());
  using MStep = EmMStep<C, Dims, triangular>;
  MStep(shape, b, limits.reg_covar).start(work, out.parameters);
  double weight = 0, counted = 0;
  for (int64_t row = b * shape.N + thread; row < (b + 1) * shape.N; row += kEmThreads) {
    weight += static_cast<double>(samples.weight(row));
    counted += samples(row) ? 1 : 0;
  }
  weight = block_sum<kEmThreads>(weight);
  counted = block_sum<kEmThreads>(counted);
  if (thread == 0) {
    *work.weight = weight;
    *work.guard = kCountGuard<C> * weight / counted;
  }
  __syncthreads();
  double last = -static_cast<double>(__builtin_inf());
  bool converged = false;
  double* bounds = out.lower_bounds + b * limits.max_iter;
  int64_t done = 0;
  for (; done < limits.max_iter && !converged; ++done) {
    const double bound = em_statistics(shape, b, x, samples, work, out.norms) / *work.weight;
    MStep m_step(shape, b, limits.reg_covar);
    if (!m_step.run(work) || bound - bound != 0) break;
    m_step.publish(work, out.parameters);
    if (thread == 0) bounds[done] = bound;
    converged = fabs(bound - last) < limits.tol;
    last = bound;
  }
  for (int64_t i = done + thread; i < limits.max_iter; i += kEmThreads)
    bounds[i] = static_cast<double>(__builtin_nan(""));
  if (thread == 0) out.converged[b] = converged;
}

MixtureShape check_em(const Tensor& x, const Tensor& weights, const Tensor& means, const Tensor& covariances,
                      const Tensor& factors, const std::string& covariance_type) {
  STD_TORCH_CHECK(x.dim() >= 2, "x: expected at least 2 dimensions, got ", x.dim());
  const auto [type, batch, K, D] = sizes_of(means, covariance_type);
  check_size(x, x.dim() - 1, D, "x");
  elements_of(x.sizes(), "x");
  const std::vector<int64_t> matrices = covariance_shape(type, K, D);
  check_parameter(weights, x, ScalarType::Double, {K}, "weights");
  check_parameter(means, x, ScalarType::Double, {K, D}, "means");
  check_parameter(covariances, x, ScalarType::Double, matrices, "covariances");
  check_parameter(factors, x, ScalarType::Double, matrices, "precisions_cholesky");
  return {type, batch, x.size(x.dim() - 2), K, D};
}

Fit gmm_em(const Tensor& x_, const Tensor& weights_, const Tensor& means_, const Tensor& covariances_,
           const Tensor& factors_, const std::string& covariance_type, int64_t max_iter, double tol, double reg_covar,
           const std::optional<Tensor>& sample_weight_) {
  const MixtureShape shape = check_em(x_, weights_, means_, covariances_, factors_, covariance_type);
  const Tensor x = as_contiguous(x_);
  STD_TORCH_CHECK(shape.N >= 1 && shape.K <= kEmMostComponents && shape.D <= kMostSmall, "x: expected at most ",
                  kEmMostComponents, " components and ", kMostSmall, " features, got ", shape.K, " and ", shape.D);
  const DeviceGuard guard(x.get_device_index());
  const cudaStream_t stream = current_stream(x);
  const auto copied = [](const Tensor& tensor) { return torch::stable::clone(as_contiguous(tensor)); };
  const Tensor weights = copied(weights_), means = copied(means_), covariances = copied(covariances_);
  const Tensor factors = copied(factors_);
  std::optional<Tensor> sample_weight;
  if (sample_weight_) {
    check_parameter(*sample_weight_, x, x.scalar_type(), {shape.N}, "sample_weight");
    sample_weight = as_contiguous(*sample_weight_);
  }
  const Tensor lower_bounds = allocate(x, batched(x, {max_iter}), ScalarType::Double);
  const Tensor converged = allocate(x, batched(x, {}), ScalarType::Bool);
  if (shape.batch == 0) return {weights, means, covariances, factors, lower_bounds, converged};
  STD_TORCH_CHECK(shape.batch < (int64_t{1} << 31), "x: expected fewer mixtures, got ", shape.batch);
  dispatch_floating(x.scalar_type(), "x", [&](auto type) {
    using T = typename decltype(type)::type;
    using C = compute_t<T>;
    dispatch_small(shape, [&](auto dims, auto triangular) {
      const bool whole = shape.K <= SmallSums<C, dims(), triangular()>::kGroup;
      const Tensor norms = allocate(x, {whole ? 0 : shape.batch * shape.N}, compute_dtype(x.scalar_type()));
      const EmOutputs<C> out{{mutable_data<double>(weights), mutable_data<double>(means),
                              mutable_data<double>(covariances), mutable_data<double>(factors)},
                             mutable_data<double>(lower_bounds),
                             mutable_data<bool>(converged),
                             mutable_data<C>(norms)};
      const WeightedSamples<T> samples{sample_weight ? data<T>(*sample_weight) : nullptr};
      launch({static_cast<unsigned>(shape.batch), kEmThreads, EmWork<C, dims(), triangular()>::bytes(shape), stream},
             em_kernel<dims(), triangular(), T>, shape, EmLimits{max_iter, tol, reg_covar}, data<T>(x), samples, out);
    });
    check_launch("gmm_em");
  });
  return {weights, means, covariances, factors, lower_bounds, converged};
}

}  // namespace

LATENTCORE_CUDA_OPERATORS(m) { m.impl("gmm_em", TORCH_BOX(&gmm_em)); }

}  // namespace latentcore
