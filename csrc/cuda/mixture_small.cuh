// Mixtures of few dimensions: a sample per thread in registers, the parameters in shared memory. The dimensions are
// padded with zeros to `Dims` of them, which change nothing.
#pragma once

#include <algorithm>

#include "cuda/mixture_moments.cuh"

namespace latentcore {
namespace {

constexpr int64_t kMostSmall = 8;
constexpr int kSmallThreads = 128;

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

  __device__ void subtract_mean(const C (&x)[Dims], C (&difference)[Dims]) const {
#pragma unroll
    for (int i = 0; i < Dims; ++i) difference[i] = x[i] - mean[i];
  }

  // The logarithm of weight times density; `difference` becomes x - mean.
  __device__ C log_joint(const C (&x)[Dims], C (&difference)[Dims]) const {
    subtract_mean(x, difference);
    C distance = 0;
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
    if (triangular && distance != distance) {  // as `settled` has it
      bool known = true;
#pragma unroll
      for (int i = 0; i < Dims; ++i) known = known && x[i] == x[i];
      if (known) distance = static_cast<C>(__builtin_inf());
    }
    return offset - C(0.5) * distance;
  }
};

// A sample's numbers, zeros where it does not count.
template <int Dims, class T, class Counts>
__device__ void load_sample(const T* x, int64_t row, int64_t D, const Counts& counts, compute_t<T> (&out)[Dims]) {
  const bool present = counts(row);
#pragma unroll
  for (int i = 0; i < Dims; ++i) out[i] = present && i < D ? static_cast<compute_t<T>>(load(x[row * D + i])) : 0;
}

// Components in shared memory at once.
template <class Component>
constexpr int kSmallChunk = static_cast<int>(sizeof(Component) * 128 <= 32768 ? 128 : 32768 / sizeof(Component));

// As mixture_samples_kernel: a block per 128 samples of one mixture.
template <int Dims, bool triangular, class T>
__global__ void __launch_bounds__(kSmallThreads, 4)
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

// What a thread, and then a block, adds up over samples: for each component of a group how many samples it has, their
// first moments and their second moments (the upper triangle, or the diagonal); last the log-likelihood.
template <class C, int Dims, bool triangular>
struct SmallSums {
  using Component = SmallComponent<C, Dims, triangular>;
  static constexpr int kSize = 1 + Dims + (triangular ? Dims * (Dims + 1) / 2 : Dims);   // of one component
  static constexpr int kGroup = std::max(240 / static_cast<int>(sizeof(C)) / kSize, 1);  // what the registers hold
  static constexpr int kCount = kGroup * kSize + 1;
  static constexpr int kChunks = (kCount + kWarp - 1) / kWarp;
  C values[kCount] = {};

  // A sample and its weight in component c of the group.
  __device__ void add(int c, C weight, const C (&difference)[Dims]) {
    values[c * kSize] += weight;
    int at = c * kSize + 1 + Dims;
#pragma unroll
    for (int i = 0; i < Dims; ++i) {
      const C weighted = weight * difference[i];
      values[c * kSize + 1 + i] += weighted;
#pragma unroll
      for (int j = i; j < (triangular ? Dims : i + 1); ++j) values[at++] += weighted * difference[j];
    }
  }

  // A sample of a mixture that has no more components than a group: each is evaluated once.
  __device__ void add_to_all(const Component* components, int count, const C (&sample)[Dims], C weight) {
    C joint[kGroup] = {}, difference[Dims], greatest = -static_cast<C>(__builtin_inf()), sum = 0;
#pragma unroll
    for (int c = 0; c < kGroup; ++c) {
      if (c >= count) break;
      joint[c] = components[c].log_joint(sample, difference);
      greatest = joint[c] > greatest ? joint[c] : greatest;
    }
    const C base = finite_or_zero(greatest);
#pragma unroll
    for (int c = 0; c < kGroup; ++c) {
      if (c >= count) break;
      joint[c] = exp(joint[c] - base);
      sum += joint[c];
    }
    if (weight != C(0)) values[kCount - 1] += weight * (base + log(sum));
    if (sum == C(0)) return;  // whatever the sample is, it counts in the log likelihood only
    const C scale = weight / sum;
#pragma unroll
    for (int c = 0; c < kGroup; ++c) {
      if (c >= count) break;
      components[c].subtract_mean(sample, difference);
      add(c, joint[c] * scale, difference);
    }
  }

  // Adds over the block and hands every sum, with its place in `values`, to out; `partial` has kCount numbers per warp.
  // The block has met between the first read of the values and the last call of out.
  template <int threads, class Out>
  __device__ void reduce(double* partial, const Out& out) {
    constexpr int warps = threads / kWarp;
    const auto thread = static_cast<int>(threadIdx.x), lane = thread % kWarp;
#pragma unroll
    for (int chunk = 0; chunk < kChunks; ++chunk) {
      C part[kWarp];
#pragma unroll
      for (int i = 0; i < kWarp; ++i) part[i] = chunk * kWarp + i < kCount ? values[chunk * kWarp + i] : C(0);
      const C sum = transposed_warp_sum(part);
      const int e = chunk * kWarp + lane;
      if (e < kCount) partial[e * warps + thread / kWarp] = static_cast<double>(sum);
    }
    __syncthreads();
    for (int e = thread; e < kCount; e += threads) {
      double sum = 0;
      for (int w = 0; w < warps; ++w) sum += partial[e * warps + w];
      out(e, sum);
    }
  }

  // Where a component's number lies among the slots of a MomentPlan; -1 for padding.
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

// As mixture_moments_kernel: a block per stretch of samples and group of components. Without responsibilities the group
// is the whole mixture; they are found in the same pass, and the log-likelihood of each stretch.
template <int Dims, bool triangular, class T>
__global__ void __launch_bounds__(kSmallThreads, sizeof(compute_t<T>) == 4 ? 3 : 1)
    small_moments_kernel(MomentPlan plan, Mixtures<compute_t<T>> mixtures, const T* x,
                         Responsibilities<T> responsibilities, double* sums, double* log_likelihoods) {
  using C = compute_t<T>;
  using Component = SmallComponent<C, Dims, triangular>;
  using Sums = SmallSums<C, Dims, triangular>;
  constexpr int group = Sums::kGroup;
  LATENTCORE_SHARED(Component, components, group);
  LATENTCORE_SHARED(double, partial, Sums::kCount*(kSmallThreads / kWarp));
  const MixtureShape shape = plan.shape;
  const auto thread = static_cast<int>(threadIdx.x);
  const int64_t groups = (shape.K + group - 1) / group, step = plan.samples_per_stretch;
  for (int64_t block = blockIdx.x; block < shape.batch * plan.stretches * groups; block += gridDim.x) {
    const int64_t first = block % groups * group, item = block / groups, b = item / plan.stretches;
    const int64_t begin = item % plan.stretches * step, end = min(begin + step, shape.N);
    const auto count = static_cast<int>(min(shape.K - first, int64_t{group}));
    __syncthreads();
    for (int c = thread / kWarp; c < count; c += kSmallThreads / kWarp) {
      Component::copy(mixtures, b, first + c, components + c, thread % kWarp, kWarp);
    }
    __syncthreads();
    Sums total;
    for (int64_t n = begin + thread; n < end; n += kSmallThreads) {
      const int64_t row = b * shape.N + n;
      C sample[Dims], difference[Dims];
      load_sample(x, row, shape.D, responsibilities, sample);
      if (log_likelihoods != nullptr) {
        total.add_to_all(components, count, sample, responsibilities.samples.weight(row));
        continue;
      }
#pragma unroll
      for (int c = 0; c < group; ++c) {
        if (c >= count) break;
        const C joint = components[c].log_joint(sample, difference);
        total.add(c, responsibilities.of(row, shape.K, first + c, joint), difference);
      }
    }
    total.template reduce<kSmallThreads>(partial, [&](int e, double sum) {
      const int c = e / Sums::kSize;
      if (c == group) {
        if (log_likelihoods != nullptr) log_likelihoods[item] = sum;
      } else if (const int64_t slot = Sums::slot(e % Sums::kSize, shape.D); c < count && slot >= 0) {
        sums[(item * shape.K + first + c) * plan.slots() + slot] = sum;
      }
    });
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
