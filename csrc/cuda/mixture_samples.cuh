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

// `table` (batch, N, K) and `norm` (batch, N), as `output` has them.
template <int S, class T>
__global__ void __launch_bounds__(kTileThreads, 1)
    mixture_samples_kernel(Output output, Mixtures<compute_t<T>> mixtures, const T* x, WeightedSamples<T> counts,
                           compute_t<T>* table, compute_t<T>* norm) {
  using C = compute_t<T>;
  const MixtureShape shape = mixtures.shape;
  C* differences = dynamic_shared<C>();
  C* parts = differences + padded_rows(shape.D) * kPitch<C, S>;
  C* norms = parts + kQuad * kTileThreads;
  const int64_t tiles = shape.batch * SampleTile<S>::tile_count(shape.N);
  for (int64_t index = blockIdx.x; index < tiles; index += gridDim.x) {
    const SampleTile<S> tile(shape, index);
    const int64_t row = tile.b * shape.N + tile.first;
    const bool writes = thread() < tile.count;
    LogSum<C> total;
    for (int64_t k = 0; k < shape.K; ++k) {
      __syncthreads();  // the last component's differences are no longer read
      load_differences(x, tile, shape, mixtures.mean(tile.b, k), counts, differences);
      __syncthreads();
      const C joint = log_joint<S>(mixtures, tile.b, k, differences, parts);
      if (!writes) continue;
      if (output != Output::norm) table[(row + thread()) * shape.K + k] = joint;
      if (output != Output::log_prob) total.add(joint);
    }
    if (output == Output::log_prob) continue;
    if (writes) {
      norms[thread()] = finite_or_zero(total.value());
      if (norm != nullptr) norm[row + thread()] = total.value();
    }
    if (output == Output::norm) continue;
    __syncthreads();
    for (int64_t e = thread(); e < tile.count * shape.K; e += kTileThreads) {
      C& entry = table[row * shape.K + e];
      const C difference = entry - norms[e / shape.K];
      entry = output == Output::responsibilities ? exp(difference) : difference;
    }
  }
}

// The weight of component k in a sample: its responsibility times the sample's weight, or given.
template <class T>
struct Responsibilities {
  using C = compute_t<T>;
  const C* norm;   // (batch, N), or null where `given` is not
  const C* given;  // (batch, N, K)
  WeightedSamples<T> samples;

  // A sample that no component reaches has no moments, whatever it is.
  __device__ bool operator()(int64_t row) const {
    return samples(row) && (norm == nullptr || norm[row] != -static_cast<C>(__builtin_inf()));
  }
  __device__ C of(int64_t row, int64_t K, int64_t k, C joint) const {
    if (given != nullptr) return given[row * K + k];
    return (*this)(row) ? samples.weight(row) * exp(joint - norm[row]) : C(0);
  }
};

// What a thread adds to the score of its four samples: numbers of the dimensions i ... i + 3 for several i.
template <int S, class C>
struct ScoreSums {
  static constexpr int kQuads = S / kQuad, kGroups = kTileThreads / kQuads;
  static constexpr int kMost = S == 32 ? 3 : 2;  // quads of dimensions per thread, up to 192 or 64 dimensions
  C values[kMost][kQuad][kQuad] = {};

  __device__ static int sample() { return thread() % kQuads * kQuad; }
  __device__ static int dimension(int q) { return (thread() / kQuads + q * kGroups) * kQuad; }

  // values -= weight * P P^T (x - mean)
  __device__ void subtract(const MixtureShape& shape, const C* factor, const C* whitened, const C* weights) {
    C weight[kQuad];
    load_quad(weights + sample(), weight);
#pragma unroll
    for (int q = 0; q < kMost; ++q) {
#pragma unroll
      for (int i = 0; i < kQuad; ++i) {
        if (dimension(q) + i >= shape.D) continue;
        C z[kQuad] = {};
        row(shape, factor, whitened + sample(), dimension(q) + i, z);
#pragma unroll
        for (int s = 0; s < kQuad; ++s) values[q][i][s] -= weight[s] * z[s];
      }
    }
  }

  // Row i of P times the whitened samples.
  __device__ static void row(const MixtureShape& shape, const C* factor, const C* whitened, int i, C (&z)[kQuad]) {
    C y[kQuad];
    const auto D = static_cast<int>(shape.D);
    const int end = shape.triangular() ? D : i + 1;
    const C* entries = shape.triangular() ? factor + i * shape.padded() : factor;
    for (int j = i; j < end; ++j) {
      load_quad(whitened + j * kPitch<C, S>, y);
#pragma unroll
      for (int s = 0; s < kQuad; ++s) z[s] += entries[j] * y[s];
    }
  }

  template <class T>
  __device__ void write(int64_t count, int64_t D, C factor, T* score) const {
#pragma unroll
    for (int q = 0; q < kMost; ++q) {
#pragma unroll
      for (int i = 0; i < kQuad; ++i) {
#pragma unroll
        for (int s = 0; s < kQuad; ++s) {
          if (dimension(q) + i >= D || sample() + s >= count) continue;
          score[(sample() + s) * D + dimension(q) + i] = store<T>(factor * values[q][i][s]);
        }
      }
    }
  }
};

// score[n] = -grad * sum_k r_nk P_k P_k^T (x_n - mu_k), with grad of the mixture or 1.
template <int S, class T>
__global__ void __launch_bounds__(kTileThreads, 1)
    mixture_score_kernel(Mixtures<compute_t<T>> mixtures, const T* x, Responsibilities<T> responsibilities,
                         const compute_t<T>* grad, T* score) {
  using C = compute_t<T>;
  const MixtureShape shape = mixtures.shape;
  const int64_t size = padded_rows(shape.D) * kPitch<C, S>;
  C* differences = dynamic_shared<C>();
  C* whitened = differences + size;
  C* parts = whitened + size;
  C* weights = parts + kQuad * kTileThreads;
  const int64_t tiles = shape.batch * SampleTile<S>::tile_count(shape.N);
  for (int64_t index = blockIdx.x; index < tiles; index += gridDim.x) {
    const SampleTile<S> tile(shape, index);
    const int64_t row = tile.b * shape.N + tile.first;
    ScoreSums<S, C> sums;
    for (int64_t k = 0; k < shape.K; ++k) {
      __syncthreads();
      load_differences(x, tile, shape, mixtures.mean(tile.b, k), responsibilities, differences);
      __syncthreads();
      const C joint = log_joint<S>(mixtures, tile.b, k, differences, parts, whitened);
      if (thread() < S) {
        weights[thread()] = thread() < tile.count ? responsibilities.of(row + thread(), shape.K, k, joint) : C(0);
      }
      __syncthreads();
      sums.subtract(shape, mixtures.factor(tile.b, k), whitened, weights);
    }
    sums.write(tile.count, shape.D, grad == nullptr ? C(1) : grad[tile.b], score + row * shape.D);
  }
}

}  // namespace
}  // namespace latentcore
