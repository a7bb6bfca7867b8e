// Sums over the samples: a block takes one component, one part of its moments and one stretch of the samples, and
// leaves its sums in double; a second kernel adds the stretches in order, so that results are the same in every run.
#pragma once

#include "cuda/mixture_samples.cuh"

namespace latentcore {
namespace {

constexpr int kSide = 64;               // of the square of second moments that a block sums
constexpr int kPerThread = kSide / 16;  // 16 x 16 threads share it
constexpr int kTilesInBlock = 8;        // tiles that are summed in the type of computation

// How the work is cut; a function of the shape alone.
struct MomentPlan {
  MixtureShape shape;
  int64_t stretches, tiles_per_stretch;

  LATENTCORE_MEMBER int64_t squares() const { return (shape.D + kSide - 1) / kSide; }
  // parts of a component's moments: squares on and above the diagonal, or stretches of dimensions
  LATENTCORE_MEMBER int64_t parts() const {
    return shape.triangular() ? squares() * (squares() + 1) / 2 : (shape.D + kTileThreads - 1) / kTileThreads;
  }
  LATENTCORE_MEMBER int64_t second_size() const { return shape.triangular() ? shape.D * shape.D : shape.D; }
  // sums of one component: how many samples, first and second moments
  LATENTCORE_MEMBER int64_t slots() const { return 1 + shape.D + second_size(); }
};

// A sum in the type of computation, carried over to double from time to time.
template <class C>
struct CarriedSum {
  C part = 0;
  double total = 0;

  __device__ void carry() {
    total += static_cast<double>(part);
    part = 0;
  }
};

// The square of second moments that a block sums, and the first moments of its rows where it lies in the first column.
template <class C>
struct SquareMoments {
  int64_t row, column;
  CarriedSum<C> second[kPerThread][kPerThread], first, count;

  __device__ SquareMoments(const MomentPlan& plan, int64_t part) {
    int64_t r = 0;
    for (int64_t length = plan.squares(); part >= length; --length) {
      part -= length;
      ++r;
    }
    row = r * kSide;
    column = (r + part) * kSide;
  }
  __device__ bool on_diagonal() const { return row == column; }

  __device__ void add(int64_t D, const C* differences, const C* weights) {
    const int64_t i = row + threadIdx.x / 16, j = column + threadIdx.x % 16;
    for (int s = 0; s < kTileSamples; ++s) {
      C right[kPerThread];
#pragma unroll
      for (int b = 0; b < kPerThread; ++b) right[b] = j + 16 * b < D ? differences[(j + 16 * b) * kPitch + s] : C(0);
#pragma unroll
      for (int a = 0; a < kPerThread; ++a) {
        const C left = i + 16 * a < D ? weights[s] * differences[(i + 16 * a) * kPitch + s] : C(0);
#pragma unroll
        for (int b = 0; b < kPerThread; ++b) second[a][b].part += left * right[b];
      }
    }
    if (!on_diagonal()) return;
    const int64_t dimension = row + threadIdx.x;
    for (int s = 0; s < kTileSamples && threadIdx.x <= kSide; ++s) {
      if (threadIdx.x == kSide) {
        count.part += weights[s];
      } else if (dimension < D) {
        first.part += weights[s] * differences[dimension * kPitch + s];
      }
    }
  }
  __device__ void carry() {
    for (auto& line : second) {
      for (auto& sum : line) sum.carry();
    }
    first.carry();
    count.carry();
  }
  __device__ void store_sums(int64_t D, double* out) const {
    const int64_t i = row + threadIdx.x / 16, j = column + threadIdx.x % 16, dimension = row + threadIdx.x;
    for (int a = 0; a < kPerThread; ++a) {
      for (int b = 0; b < kPerThread; ++b) {
        if (i + 16 * a < D && j + 16 * b < D) out[1 + D + (i + 16 * a) * D + j + 16 * b] = second[a][b].total;
      }
    }
    if (!on_diagonal()) return;
    if (threadIdx.x < kSide && dimension < D) out[1 + dimension] = first.total;
    if (threadIdx.x == kSide && row == 0) out[0] = count.total;
  }
};

// A dimension per thread, for factors that are diagonal.
template <class C>
struct LineMoments {
  int64_t dimension;
  CarriedSum<C> second, first, count;

  __device__ LineMoments(const MomentPlan&, int64_t part) : dimension(part * kTileThreads + threadIdx.x) {}

  __device__ void add(int64_t D, const C* differences, const C* weights) {
    for (int s = 0; s < kTileSamples; ++s) {
      const C difference = dimension < D ? differences[dimension * kPitch + s] : C(0);
      const C weighted = weights[s] * difference;
      count.part += weights[s];
      first.part += weighted;
      second.part += weighted * difference;
    }
  }
  __device__ void carry() {
    count.carry();
    first.carry();
    second.carry();
  }
  __device__ void store_sums(int64_t D, double* out) const {
    if (dimension == 0) out[0] = count.total;
    if (dimension >= D) return;
    out[1 + dimension] = first.total;
    out[1 + D + dimension] = second.total;
  }
};

// `sums`: (batch, stretches, K, slots)
template <class Moments, class T>
__global__ void __launch_bounds__(kTileThreads, 1)
    mixture_moments_kernel(MomentPlan plan, Mixtures<compute_t<T>> mixtures, const T* x,
                           Responsibilities<T> responsibilities, double* sums) {
  using C = compute_t<T>;
  const MixtureShape shape = plan.shape;
  C* differences = dynamic_shared<C>();
  C* parts = differences + shape.D * kPitch;
  C* weights = parts + kTileThreads;
  const int64_t tiles = (shape.N + kTileSamples - 1) / kTileSamples;
  const int64_t blocks = shape.batch * plan.stretches * shape.K * plan.parts();
  for (int64_t index = blockIdx.x; index < blocks; index += gridDim.x) {
    const int64_t part = index % plan.parts(), item = index / plan.parts();  // item: (b, stretch, k)
    const int64_t k = item % shape.K, stretch = item / shape.K % plan.stretches, b = item / shape.K / plan.stretches;
    const int64_t begin = stretch * plan.tiles_per_stretch, end = min(begin + plan.tiles_per_stretch, tiles);
    Moments moments(plan, part);
    for (int64_t t = begin; t < end; ++t) {
      const SampleTile tile(shape, b * tiles + t);
      const int64_t row = tile.b * shape.N + tile.first;
      __syncthreads();
      load_differences(x, tile, shape.N, shape.D, mixtures.mean(b, k), responsibilities.samples, differences);
      __syncthreads();
      const C joint = responsibilities.given == nullptr ? log_joint(mixtures, b, k, differences, parts) : C(0);
      if (warp() == 0) {
        weights[lane()] = lane() < tile.count ? responsibilities.of(row + lane(), shape.K, k, joint) : C(0);
      }
      __syncthreads();
      moments.add(shape.D, differences, weights);
      if ((t - begin + 1) % kTilesInBlock == 0) moments.carry();
    }
    moments.carry();
    moments.store_sums(shape.D, sums + item * plan.slots());
  }
}

// n_k, first and second of all mixtures: a thread or a warp (G threads) per number adds up its sums over the stretches.
template <int G, class C>
__global__ void __launch_bounds__(kTileThreads)
    mixture_gather_kernel(MomentPlan plan, const double* sums, C* n_k, C* first, C* second) {
  const MixtureShape shape = plan.shape;
  const int64_t D = shape.D, K = shape.K, factors = shape.factors();
  const bool spherical = shape.type == CovarianceType::spherical;
  const int64_t second_size = factors * (spherical ? 1 : plan.second_size()), size = K + K * D + second_size;
  const int64_t index = static_cast<int64_t>(blockIdx.x) * kTileThreads + threadIdx.x;
  const int64_t stride = static_cast<int64_t>(gridDim.x) * kTileThreads;
  // the thread's part of the sum over the stretches of slot `slot` of component k
  const auto part = [&](int64_t b, int64_t k, int64_t slot) {
    double sum = 0;
    for (int64_t s = index % G; s < plan.stretches; s += G) {
      sum += sums[((b * plan.stretches + s) * K + k) * plan.slots() + slot];
    }
    return sum;
  };
  for (int64_t i = index / G; i < shape.batch * size; i += stride / G) {
    const int64_t b = i / size, e = i % size;
    double sum = 0;
    C* out = nullptr;
    if (e < K) {
      sum = part(b, e, 0);
      out = n_k + b * K + e;
    } else if (e < K + K * D) {
      sum = part(b, (e - K) / D, 1 + (e - K) % D);
      out = first + b * K * D + e - K;
    } else {
      const int64_t at = e - K - K * D, per_factor = second_size / factors, f = at / per_factor;
      const int64_t row = at % per_factor / D, column = at % D;
      const int64_t entry = shape.triangular() ? min(row, column) * D + max(row, column) : at % per_factor;
      for (int64_t k = f; k < (shape.type == CovarianceType::tied ? K : f + 1); ++k) {
        for (int64_t j = 0; j < (spherical ? D : 1); ++j) sum += part(b, k, 1 + D + entry + j);
      }
      out = second + b * second_size + at;
    }
    sum = group_sum<G>(sum);
    if (index % G == 0) *out = static_cast<C>(sum);
  }
}

// The sum of weight times log-likelihood of every mixture: a block adds a stretch of samples, then one all stretches.
template <class T>
__global__ void __launch_bounds__(kTileThreads)
    mixture_likelihood_kernel(MixtureShape shape, int64_t stretch, const compute_t<T>* norm, WeightedSamples<T> samples,
                              double* sums) {
  const int64_t stretches = (shape.N + stretch - 1) / stretch, b = blockIdx.x / stretches;
  const int64_t begin = blockIdx.x % stretches * stretch, end = min(begin + stretch, shape.N);
  double sum = 0;
  for (int64_t n = begin + threadIdx.x; n < end; n += kTileThreads) {
    const int64_t row = b * shape.N + n;
    if (samples(row)) sum += static_cast<double>(samples.weight(row)) * static_cast<double>(norm[row]);
  }
  sum = block_sum<kTileThreads>(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

template <class C>
__global__ void __launch_bounds__(kTileThreads)
    mixture_likelihood_total_kernel(int64_t stretches, const double* sums, C* out) {
  double sum = 0;
  for (int64_t s = threadIdx.x; s < stretches; s += kTileThreads) sum += sums[blockIdx.x * stretches + s];
  sum = block_sum<kTileThreads>(sum);
  if (threadIdx.x == 0) out[blockIdx.x] = static_cast<C>(sum);
}

}  // namespace
}  // namespace latentcore
