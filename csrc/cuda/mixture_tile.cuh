// A block of threads at work on a tile of 32 samples: a lane of every warp per sample, so that a number of the
// parameters is one read for the whole warp, and the warps share the dimensions.
#pragma once

#include "cuda/mixture_parameters.cuh"

namespace latentcore {

constexpr int kTileThreads = 256;
constexpr int kTileSamples = kWarp;
constexpr int kTileWarps = kTileThreads / kWarp;
constexpr int kPitch = kTileSamples + 1;  // of a dimension's numbers: no two threads of a warp meet in a bank

// Where a tile lies in the batch.
struct SampleTile {
  int64_t b, first, count;  // samples first ... first + count - 1 of mixture b

  __device__ SampleTile(const MixtureShape& shape, int64_t tile) {
    const int64_t tiles = (shape.N + kTileSamples - 1) / kTileSamples;
    b = tile / tiles;
    first = tile % tiles * kTileSamples;
    count = min(shape.N - first, int64_t{kTileSamples});
  }
};

inline int64_t tile_count(const MixtureShape& shape) {
  return shape.batch * ((shape.N + kTileSamples - 1) / kTileSamples);
}

__device__ inline int lane() { return static_cast<int>(threadIdx.x) % kWarp; }
__device__ inline int warp() { return static_cast<int>(threadIdx.x) / kWarp; }

// differences[i * kPitch + sample] = x - mean; 0 for samples that are not there or that have no weight. The block has
// to meet before they are read.
template <class T, class Counts>
__device__ void load_differences(const T* x, const SampleTile& tile, int64_t N, int64_t D, const compute_t<T>* mean,
                                 const Counts& counts, compute_t<T>* differences) {
  for (int64_t e = threadIdx.x; e < kTileSamples * D; e += kTileThreads) {
    const int64_t s = e / D, i = e % D;
    const bool present = s < tile.count && counts(tile.b * N + tile.first + s);
    differences[i * kPitch + s] =
        present ? static_cast<compute_t<T>>(load(x[(tile.b * N + tile.first + s) * D + i])) - mean[i] : 0;
  }
}

// The columns j ... j + 3 of P^T (x - mean) for the thread's sample.
template <class C>
__device__ void whiten_columns(const C* factor, int64_t padded, int64_t D, const C* differences, int64_t j,
                               C (&y)[kColumns]) {
  for (int64_t i = 0; i < min(j + kColumns, D); ++i) {
    const C difference = differences[i * kPitch + lane()];
    const auto row = load_pack<kColumns>(factor + i * padded + j);
#pragma unroll
    for (int c = 0; c < kColumns; ++c) y[c] += row.values[c] * difference;
  }
}

// The warp's part of |P^T (x - mean)|^2 for the thread's sample. Where `whitened` is given, P^T (x - mean) is kept
// there.
template <class C>
__device__ C partial_distance(const MixtureShape& shape, const C* factor, const C* differences, C* whitened) {
  C sum = 0;
  if (!shape.triangular()) {
    for (int64_t i = warp(); i < shape.D; i += kTileWarps) {
      const C y = factor[i] * differences[i * kPitch + lane()];
      if (whitened != nullptr) whitened[i * kPitch + lane()] = y;
      sum += y * y;
    }
    return sum;
  }
  for (int64_t j = warp() * kColumns; j < shape.D; j += kTileWarps * kColumns) {
    C y[kColumns] = {};
    whiten_columns(factor, shape.padded(), shape.D, differences, j, y);
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {
      if (whitened != nullptr && j + c < shape.D) whitened[(j + c) * kPitch + lane()] = y[c];
      sum += y[c] * y[c];
    }
  }
  return sum;
}

// The logarithm of weight times density of component k for the thread's sample, in the threads of warp 0; the others
// get the same where they ask for it after the next barrier, from `joint`. `parts` holds a number per thread.
template <class C>
__device__ C log_joint(const Mixtures<C>& mixtures, int64_t b, int64_t k, const C* differences, C* parts,
                       C* whitened = nullptr) {
  parts[threadIdx.x] = partial_distance(mixtures.shape, mixtures.factor(b, k), differences, whitened);
  __syncthreads();
  C distance = 0;
  if (warp() == 0) {
#pragma unroll
    for (int w = 0; w < kTileWarps; ++w) distance += parts[w * kWarp + lane()];
  }
  return mixtures.offset(b, k) - C(0.5) * distance;
}

// Logarithm of a sum of exponentials, one term after the other.
template <class C>
struct LogSum {
  C greatest = -static_cast<C>(__builtin_inf()), sum = 0;

  __device__ void add(C value) {
    const C next = value > greatest ? value : greatest;
    const C base = finite_or_zero(next);
    sum = sum * exp(greatest - base) + exp(value - base);
    greatest = next;
  }
  __device__ C value() const { return finite_or_zero(greatest) + log(sum); }
};

}  // namespace latentcore
