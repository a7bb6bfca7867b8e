// Sums over the samples: a block takes one component, one part of its moments and one stretch of the samples, and
// leaves its sums in double; a second kernel adds the stretches in order, so that results are the same in every run.
#pragma once

#include "cuda/mixture_samples.cuh"

namespace latentcore {
namespace {

constexpr int kHalves = 2;  // of a tile: a half of the block's threads sums each
constexpr int kHalf = kTileThreads / kHalves;
constexpr int kSamplesCarried = 512;  // samples that are summed in the type of computation

// How the work is cut; a function of the shape alone.
struct MomentPlan {
  MixtureShape shape;
  int64_t stretches, samples_per_stretch;  // a multiple of every tile
  int64_t slices;                          // sums that each component leaves: stretches, or halves of them

  LATENTCORE_MEMBER int64_t squares() const { return padded_rows(shape.D) / square_side(shape.D); }
  // parts of a component's moments: squares on and above the diagonal, or stretches of dimensions
  LATENTCORE_MEMBER int64_t parts() const {
    return shape.triangular() ? squares() * (squares() + 1) / 2 : (shape.D + kHalf - 1) / kHalf;
  }
  LATENTCORE_MEMBER int64_t second_size() const { return shape.triangular() ? shape.D * shape.D : shape.D; }
  // sums of one component: how many samples, first and second moments
  LATENTCORE_MEMBER int64_t slots() const { return 1 + shape.D + second_size(); }
};

// The thread's half of the block and its place in it.
__device__ inline int half() { return thread() / kHalf; }
__device__ inline int place() { return thread() % kHalf; }

// A sum in double that a thread brings up to date from time to time, in memory.
template <class C>
__device__ void carry_over(C& part, bool first, double* total) {
  *total = (first ? 0 : *total) + static_cast<double>(part);
  part = 0;
}

// A square of second moments, and the first moments of its rows where it lies on the diagonal: 8 x 8 threads of each
// half have every eighth row and column.
template <int S, class C>
struct SquareMoments {
  static constexpr int kSide = S == 128 ? 32 : 64, kPerThread = kSide / 8;  // as square_side has it
  int row, column;
  C second[kPerThread][kPerThread] = {}, first = 0, count = 0;

  __device__ SquareMoments(const MomentPlan& plan, int64_t part) {
    int64_t r = 0;
    for (int64_t length = plan.squares(); part >= length; --length) {
      part -= length;
      ++r;
    }
    row = static_cast<int>(r) * kSide;
    column = static_cast<int>(r + part) * kSide;
  }
  __device__ bool on_diagonal() const { return row == column; }

  __device__ void add(const C* differences, const C* weights) {
    constexpr int pitch = kPitch<C, S>, pack = kVector<C>;
    const C* rows = differences + (row + place() / 8) * pitch;
    const C* columns = differences + (column + place() % 8) * pitch;
    const C* line = differences + (row + place() % kSide) * pitch;
    for (int s = half() * (S / kHalves); s < (half() + 1) * (S / kHalves); s += pack) {
      const auto weight = load_pack<pack>(weights + s);
      Pack<C, pack> right[kPerThread];
#pragma unroll
      for (int b = 0; b < kPerThread; ++b) right[b] = load_pack<pack>(columns + 8 * b * pitch + s);
#pragma unroll
      for (int a = 0; a < kPerThread; ++a) {
        const auto left = load_pack<pack>(rows + 8 * a * pitch + s);
#pragma unroll
        for (int e = 0; e < pack; ++e) {
          const C weighted = weight.values[e] * left.values[e];
#pragma unroll
          for (int b = 0; b < kPerThread; ++b) second[a][b] += weighted * right[b].values[e];
        }
      }
      if (!on_diagonal()) continue;
      const auto own = load_pack<pack>(line + s);
#pragma unroll
      for (int e = 0; e < pack; ++e) {
        first += weight.values[e] * own.values[e];
        count += weight.values[e];
      }
    }
  }
  __device__ void carry(int64_t D, bool fresh, double* out) {
    for (int a = 0; a < kPerThread; ++a) {
      for (int b = 0; b < kPerThread; ++b) {
        const int64_t i = row + place() / 8 + 8 * a, j = column + place() % 8 + 8 * b;
        if (i < D && j < D) carry_over(second[a][b], fresh, out + 1 + D + i * D + j);
      }
    }
    if (!on_diagonal()) return;
    if (place() < kSide && row + place() < D) carry_over(first, fresh, out + 1 + row + place());
    if (place() == 0 && row == 0) carry_over(count, fresh, out);
  }
};

// A dimension per thread of a half, for factors that are diagonal.
template <int S, class C>
struct LineMoments {
  int64_t dimension;
  C second = 0, first = 0, count = 0;

  __device__ LineMoments(const MomentPlan&, int64_t part) : dimension(part * kHalf + place()) {}

  __device__ void add(const C* differences, const C* weights) {
    C difference[kQuad], weight[kQuad];
    // with 32 rows, the threads beyond them read what others do, to no end
    const C* line = differences + (S == 128 ? dimension % 32 : dimension) * kPitch<C, S>;
    for (int s = half() * (S / kHalves); s < (half() + 1) * (S / kHalves); s += kQuad) {
      load_quad(line + s, difference);
      load_quad(weights + s, weight);
#pragma unroll
      for (int e = 0; e < kQuad; ++e) {
        const C weighted = weight[e] * difference[e];
        count += weight[e];
        first += weighted;
        second += weighted * difference[e];
      }
    }
  }
  __device__ void carry(int64_t D, bool fresh, double* out) {
    if (dimension == 0) carry_over(count, fresh, out);
    if (dimension >= D) return;
    carry_over(first, fresh, out + 1 + dimension);
    carry_over(second, fresh, out + 1 + D + dimension);
  }
};

// `sums`: (batch, stretches, K, halves, slots)
template <template <int, class> class Moments, int S, class T>
__global__ void __launch_bounds__(kTileThreads, 1)
    mixture_moments_kernel(MomentPlan plan, Mixtures<compute_t<T>> mixtures, const T* x,
                           Responsibilities<T> responsibilities, double* sums) {
  using C = compute_t<T>;
  const MixtureShape shape = plan.shape;
  C* differences = dynamic_shared<C>();
  C* parts = differences + padded_rows(shape.D) * kPitch<C, S>;
  C* weights = parts + kQuad * kTileThreads;
  const int64_t tiles = SampleTile<S>::tile_count(shape.N), step = plan.samples_per_stretch / S;
  const int64_t blocks = shape.batch * plan.stretches * shape.K * plan.parts();
  for (int64_t index = blockIdx.x; index < blocks; index += gridDim.x) {
    const int64_t part = index % plan.parts(), item = index / plan.parts();  // item: (b, stretch, k)
    const int64_t k = item % shape.K, stretch = item / shape.K % plan.stretches, b = item / shape.K / plan.stretches;
    const int64_t begin = stretch * step, end = min(begin + step, tiles);
    double* out = sums + (item * kHalves + half()) * plan.slots();
    Moments<S, C> moments(plan, part);
    bool fresh = true;
    for (int64_t t = begin; t < end; ++t) {
      const SampleTile<S> tile(shape, b * tiles + t);
      const int64_t row = tile.b * shape.N + tile.first;
      __syncthreads();
      load_differences(x, tile, shape, mixtures.mean(b, k), responsibilities, differences);
      __syncthreads();
      const C joint = responsibilities.given == nullptr ? log_joint<S>(mixtures, b, k, differences, parts) : C(0);
      if (thread() < S) {
        weights[thread()] = thread() < tile.count ? responsibilities.of(row + thread(), shape.K, k, joint) : C(0);
      }
      __syncthreads();
      moments.add(differences, weights);
      if ((t - begin + 1) % (kSamplesCarried / S) == 0) {
        moments.carry(shape.D, fresh, out);
        fresh = false;
      }
    }
    moments.carry(shape.D, fresh, out);
  }
}

// n_k, first and second of all mixtures: a thread or a warp (G threads) per number adds up its sums over the stretches.
template <int G, class C>
__global__ void __launch_bounds__(kTileThreads, 1)
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
    const int64_t halves = plan.slices / plan.stretches;
    for (int64_t s = index % G; s < plan.slices; s += G) {
      const int64_t item = (b * plan.stretches + s / halves) * K + k;
      sum += sums[(item * halves + s % halves) * plan.slots() + slot];
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
