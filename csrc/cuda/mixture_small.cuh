// Mixtures of few dimensions: a sample per thread in registers, the parameters in shared memory. The dimensions are
// padded with zeros to `Dims` of them, which change nothing.
#pragma once

#include "cuda/mixture_moments.cuh"

namespace latentcore {
namespace {

constexpr int64_t kMostSmall = 8;
constexpr int kSmallThreads = 256;

// Parameters of one component, as they lie in shared memory.
template <class C, int Dims, bool triangular>
struct SmallComponent {
  C offset, mean[Dims], factor[triangular ? Dims * Dims : Dims];

  __device__ static void copy(const Mixtures<C>& mixtures, int64_t b, int64_t k, SmallComponent* out, int thread,
                              int threads) {
    const auto D = static_cast<int>(mixtures.shape.D);
    const C* factors = mixtures.factor(b, k);
    for (int e = thread; e < Dims * Dims; e += threads) {
      const int i = e / Dims, j = e % Dims;
      if (e == 0) out->offset = mixtures.offset(b, k);
      if (e < Dims) out->mean[e] = e < D ? mixtures.mean(b, k)[e] : C(0);
      if constexpr (triangular) {
        out->factor[e] = i < D && j < D ? factors[i * mixtures.shape.padded() + j] : C(0);
      } else if (e < Dims) {
        out->factor[e] = e < D ? factors[e] : C(0);
      }
    }
  }

  // The logarithm of weight times density; `difference` becomes x - mean.
  __device__ C log_joint(const C (&x)[Dims], C (&difference)[Dims]) const {
    C distance = 0;
#pragma unroll
    for (int i = 0; i < Dims; ++i) difference[i] = x[i] - mean[i];
#pragma unroll
    for (int j = 0; j < Dims; ++j) {
      C y = 0;
      if constexpr (triangular) {
#pragma unroll
        for (int i = 0; i <= j; ++i) y += factor[i * Dims + j] * difference[i];
      } else {
        y = factor[j] * difference[j];
      }
      distance += y * y;
    }
    return offset - C(0.5) * distance;
  }
};

// A sample's numbers, zeros where it has no weight.
template <int Dims, class T>
__device__ void load_sample(const T* x, int64_t row, int64_t D, const WeightedSamples<T>& samples,
                            compute_t<T> (&out)[Dims]) {
  const bool present = samples(row);
#pragma unroll
  for (int i = 0; i < Dims; ++i) out[i] = present && i < D ? static_cast<compute_t<T>>(load(x[row * D + i])) : 0;
}

// Components in shared memory at once.
template <class Component>
constexpr int kSmallChunk = static_cast<int>(sizeof(Component) * 128 <= 32768 ? 128 : 32768 / sizeof(Component));

// As mixture_samples_kernel: a block per 256 samples of one mixture.
template <int Dims, bool triangular, class T>
__global__ void __launch_bounds__(kSmallThreads, 2)
    small_samples_kernel(Output output, Mixtures<compute_t<T>> mixtures, const T* x, WeightedSamples<T> samples,
                         compute_t<T>* table, compute_t<T>* norm) {
  using C = compute_t<T>;
  using Component = SmallComponent<C, Dims, triangular>;
  LATENTCORE_SHARED(Component, components, kSmallChunk<Component>);
  const MixtureShape shape = mixtures.shape;
  const auto thread = static_cast<int>(threadIdx.x);
  const int64_t blocks = (shape.N + kSmallThreads - 1) / kSmallThreads;
  for (int64_t block = blockIdx.x; block < shape.batch * blocks; block += gridDim.x) {
    const int64_t b = block / blocks, n = block % blocks * kSmallThreads + thread, row = b * shape.N + n;
    C sample[Dims] = {}, difference[Dims];
    if (n < shape.N) load_sample(x, row, shape.D, samples, sample);
    LogSum<C> total;
    for (int64_t first = 0; first < shape.K; first += kSmallChunk<Component>) {
      const auto count = static_cast<int>(min(shape.K - first, int64_t{kSmallChunk<Component>}));
      __syncthreads();
      for (int c = thread / kWarp; c < count; c += kSmallThreads / kWarp) {
        Component::copy(mixtures, b, first + c, components + c, thread % kWarp, kWarp);
      }
      __syncthreads();
      for (int c = 0; c < count && n < shape.N; ++c) {
        const C joint = components[c].log_joint(sample, difference);
        if (output != Output::norm) table[row * shape.K + first + c] = joint;
        if (output != Output::log_prob) total.add(joint);
      }
    }
    if (output == Output::log_prob || n >= shape.N) continue;
    if (norm != nullptr) norm[row] = total.value();
    if (output == Output::norm) continue;
    const C base = finite_or_zero(total.value());
    for (int64_t k = 0; k < shape.K; ++k) {
      C& entry = table[row * shape.K + k];
      entry = output == Output::responsibilities ? exp(entry - base) : entry - base;
    }
  }
}

// Sums of one component: how many samples, first moments, second moments (their upper triangle, or the diagonal).
template <class C, int Dims, bool triangular>
struct SmallSums {
  static constexpr int kSecond = triangular ? Dims * (Dims + 1) / 2 : Dims;
  static constexpr int kSize = 1 + Dims + kSecond;
  C values[kSize] = {};

  __device__ void add(C weight, const C (&difference)[Dims]) {
    values[0] += weight;
    int at = 1 + Dims;
#pragma unroll
    for (int i = 0; i < Dims; ++i) {
      const C weighted = weight * difference[i];
      values[1 + i] += weighted;
#pragma unroll
      for (int j = i; j < (triangular ? Dims : i + 1); ++j) values[at++] += weighted * difference[j];
    }
  }

  // Where a value lies among the slots of a MomentPlan; -1 for padding.
  __device__ static int64_t slot(int at, int64_t D) {
    if (at == 0) return 0;
    if (at <= Dims) return at <= D ? at : -1;
    int rest = at - 1 - Dims;
    if constexpr (!triangular) return rest < D ? 1 + D + rest : -1;
    int i = 0;
    for (; rest >= Dims - i; ++i) rest -= Dims - i;
    const int64_t j = i + rest;
    return j < D ? 1 + D + i * D + j : -1;
  }
};

// Components that a block sums at once, as many as fit the registers.
template <int Dims, bool triangular>
constexpr int kSmallGroup = 48 / SmallSums<float, Dims, triangular>::kSize;

// As mixture_moments_kernel: a block per stretch of samples and group of components.
template <int Dims, bool triangular, class T>
__global__ void __launch_bounds__(kSmallThreads)
    small_moments_kernel(MomentPlan plan, Mixtures<compute_t<T>> mixtures, const T* x,
                         Responsibilities<T> responsibilities, double* sums) {
  using C = compute_t<T>;
  using Component = SmallComponent<C, Dims, triangular>;
  constexpr int group = kSmallGroup<Dims, triangular>;
  using Sums = SmallSums<C, Dims, triangular>;
  constexpr int warps = kSmallThreads / kWarp;
  LATENTCORE_SHARED(Component, components, group);
  LATENTCORE_SHARED(double, partial, group* Sums::kSize* warps);
  const MixtureShape shape = plan.shape;
  const auto thread = static_cast<int>(threadIdx.x);
  const int64_t groups = (shape.K + group - 1) / group, step = plan.tiles_per_stretch * kTileSamples;
  for (int64_t block = blockIdx.x; block < shape.batch * plan.stretches * groups; block += gridDim.x) {
    const int64_t first = block % groups * group, item = block / groups, b = item / plan.stretches;
    const int64_t begin = item % plan.stretches * step, end = min(begin + step, shape.N);
    const auto count = static_cast<int>(min(shape.K - first, int64_t{group}));
    __syncthreads();
    for (int c = thread / kWarp; c < count; c += kSmallThreads / kWarp) {
      Component::copy(mixtures, b, first + c, components + c, thread % kWarp, kWarp);
    }
    __syncthreads();
    Sums total[group];
    for (int64_t n = begin + thread; n < end; n += kSmallThreads) {
      const int64_t row = b * shape.N + n;
      C sample[Dims], difference[Dims];
      load_sample(x, row, shape.D, responsibilities.samples, sample);
#pragma unroll
      for (int c = 0; c < group; ++c) {
        if (c >= count) break;
        const C joint = components[c].log_joint(sample, difference);
        total[c].add(responsibilities.of(row, shape.K, first + c, joint), difference);
      }
    }
    // over each warp, then over the warps
#pragma unroll
    for (int c = 0; c < group; ++c) {
#pragma unroll
      for (int at = 0; at < Sums::kSize; ++at) {
        const double sum = group_sum<kWarp>(static_cast<double>(total[c].values[at]));
        if (thread % kWarp == 0) partial[(c * Sums::kSize + at) * warps + thread / kWarp] = sum;
      }
    }
    __syncthreads();
    for (int e = thread; e < count * Sums::kSize; e += kSmallThreads) {
      const int64_t slot = Sums::slot(e % Sums::kSize, shape.D);
      if (slot < 0) continue;
      double sum = 0;
      for (int w = 0; w < warps; ++w) sum += partial[e * warps + w];
      sums[(item * shape.K + first + e / Sums::kSize) * plan.slots() + slot] = sum;
    }
  }
}

// Calls body(Dims, triangular) as constants.
template <class Body>
void dispatch_small(const MixtureShape& shape, const Body& body) {
  const auto with_dims = [&](auto triangular) {
    if (shape.D <= 2) return body(std::integral_constant<int, 2>{}, triangular);
    if (shape.D <= 4) return body(std::integral_constant<int, 4>{}, triangular);
    return body(std::integral_constant<int, 8>{}, triangular);
  };
  if (shape.triangular()) {
    with_dims(std::true_type{});
  } else {
    with_dims(std::false_type{});
  }
}

}  // namespace
}  // namespace latentcore
