// What a mixture says of each sample: log densities, responsibilities, their norm, the score.
#pragma once

#include "cuda/mixture_tile.cuh"

namespace latentcore {
namespace {

// What is written: log densities; log responsibilities and norms; responsibilities; norms alone.
enum class Output { log_prob, e_step, responsibilities, norm };

// A sample of weight 0 counts nowhere, whatever it is.
template <class T>
struct WeightedSamples {
  const T* weights = nullptr;  // (batch, N); without them every sample counts once
  __device__ bool operator()(int64_t row) const { return weights == nullptr || load(weights[row]) != 0; }
  __device__ compute_t<T> weight(int64_t row) const {
    return weights == nullptr ? compute_t<T>(1) : static_cast<compute_t<T>>(load(weights[row]));
  }
};

template <class C>
size_t sample_bytes(int64_t D, int arrays) {
  return static_cast<size_t>(arrays * D * kPitch + kTileThreads + kTileSamples) * sizeof(C);
}

// `table` (batch, N, K) and `norm` (batch, N), as `output` has them.
template <class T>
__global__ void __launch_bounds__(kTileThreads, 2)
    mixture_samples_kernel(Output output, Mixtures<compute_t<T>> mixtures, const T* x, WeightedSamples<T> counts,
                           compute_t<T>* table, compute_t<T>* norm) {
  using C = compute_t<T>;
  const MixtureShape shape = mixtures.shape;
  C* differences = dynamic_shared<C>();
  C* parts = differences + shape.D * kPitch;
  C* norms = parts + kTileThreads;
  const int64_t tiles = shape.batch * ((shape.N + kTileSamples - 1) / kTileSamples);
  for (int64_t index = blockIdx.x; index < tiles; index += gridDim.x) {
    const SampleTile tile(shape, index);
    const int64_t row = tile.b * shape.N + tile.first;
    const bool writes = warp() == 0 && lane() < tile.count;
    LogSum<C> total;
    for (int64_t k = 0; k < shape.K; ++k) {
      __syncthreads();  // the last component's differences are no longer read
      load_differences(x, tile, shape.N, shape.D, mixtures.mean(tile.b, k), counts, differences);
      __syncthreads();
      const C joint = log_joint(mixtures, tile.b, k, differences, parts);
      if (!writes) continue;
      if (output != Output::norm) table[(row + lane()) * shape.K + k] = joint;
      if (output != Output::log_prob) total.add(joint);
    }
    if (output == Output::log_prob) continue;
    if (writes) {
      norms[lane()] = finite_or_zero(total.value());
      if (norm != nullptr) norm[row + lane()] = total.value();
    }
    if (output == Output::norm) continue;
    __syncthreads();
    for (int64_t e = threadIdx.x; e < tile.count * shape.K; e += kTileThreads) {
      C& entry = table[row * shape.K + e];
      const C difference = entry - norms[e / shape.K];
      entry = output == Output::responsibilities ? exp(difference) : difference;
    }
  }
}

// The weight of component k in the thread's sample, in warp 0: its responsibility times the sample's weight, or given.
template <class T>
struct Responsibilities {
  using C = compute_t<T>;
  const C* norm;   // (batch, N), or null where `given` is not
  const C* given;  // (batch, N, K)
  WeightedSamples<T> samples;

  __device__ C of(int64_t row, int64_t K, int64_t k, C joint) const {
    if (given != nullptr) return given[row * K + k];
    const C weight = samples.weight(row);
    return weight == C(0) ? C(0) : weight * exp(joint - finite_or_zero(norm[row]));
  }
};

// score[n] = -grad * sum_k r_nk P_k P_k^T (x_n - mu_k), with grad of the mixture or 1.
template <class T>
__global__ void __launch_bounds__(kTileThreads, 2)
    mixture_score_kernel(Mixtures<compute_t<T>> mixtures, const T* x, Responsibilities<T> responsibilities,
                         const compute_t<T>* grad, T* score) {
  using C = compute_t<T>;
  const MixtureShape shape = mixtures.shape;
  const int64_t D = shape.D;
  C* differences = dynamic_shared<C>();
  C* whitened = differences + D * kPitch;
  C* sums = whitened + D * kPitch;
  C* parts = sums + D * kPitch;
  C* weights = parts + kTileThreads;
  const int64_t tiles = shape.batch * ((shape.N + kTileSamples - 1) / kTileSamples);
  for (int64_t index = blockIdx.x; index < tiles; index += gridDim.x) {
    const SampleTile tile(shape, index);
    const int64_t row = tile.b * shape.N + tile.first;
    __syncthreads();
    // a thread adds to the same numbers all the time: those of its sample and of its warp's dimensions
    for (int64_t i = warp(); i < D; i += kTileWarps) sums[i * kPitch + lane()] = 0;
    for (int64_t k = 0; k < shape.K; ++k) {
      __syncthreads();
      load_differences(x, tile, shape.N, D, mixtures.mean(tile.b, k), responsibilities.samples, differences);
      __syncthreads();
      const C joint = log_joint(mixtures, tile.b, k, differences, parts, whitened);
      if (warp() == 0) {
        weights[lane()] = lane() < tile.count ? responsibilities.of(row + lane(), shape.K, k, joint) : C(0);
      }
      __syncthreads();
      const C* factor = mixtures.factor(tile.b, k);
      for (int64_t i = warp(); i < D; i += kTileWarps) {
        C z = 0;
        if (shape.triangular()) {
          for (int64_t j = i; j < D; ++j) z += factor[i * shape.padded() + j] * whitened[j * kPitch + lane()];
        } else {
          z = factor[i] * whitened[i * kPitch + lane()];
        }
        sums[i * kPitch + lane()] -= weights[lane()] * z;
      }
    }
    __syncthreads();
    const C factor = grad == nullptr ? C(1) : grad[tile.b];
    for (int64_t e = threadIdx.x; e < tile.count * D; e += kTileThreads) {
      score[row * D + e] = store<T>(factor * sums[e % D * kPitch + e / D]);
    }
  }
}

}  // namespace
}  // namespace latentcore
