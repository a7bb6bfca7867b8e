#include <algorithm>
#include <tuple>

#include "common/kmeans.h"
#include "cuda/device.cuh"
#include "cuda/operator.h"
#include "math/elementary.h"

namespace latentcore {
namespace {

constexpr int kThreads = 128;    // and samples in a tile: one each
constexpr int kCentres = 8;      // that a thread has the distances to at once
constexpr int kDimensions = 32;  // in shared memory at once
constexpr int kWarps = kThreads / kWarp;
constexpr int64_t kStretch = 4096;  // samples whose sums a block adds up
constexpr int64_t kMostStretches = 1024;
constexpr int64_t kLines = 4;  // of 32 dimensions that a warp sums at once

// A tile of samples and a group of centres, a piece of their dimensions at a time.
template <class T>
struct Distances {
  using C = compute_t<T>;
  const T *x, *centres;  // (N, D), (K, D)
  int64_t N, K, D;

  // square[c] = |x_n - centre first + c|^2 for the thread's sample of the tile that begins at sample `begin`. The block
  // calls it together.
  __device__ void of(int64_t begin, int64_t first, C (&square)[kCentres]) const {
    LATENTCORE_SHARED(C, samples, kDimensions * (kThreads + 1));
    LATENTCORE_SHARED(C, group, kDimensions * kCentres);
    const auto thread = static_cast<int>(threadIdx.x);
#pragma unroll
    for (int c = 0; c < kCentres; ++c) square[c] = 0;
    for (int64_t d = 0; d < D; d += kDimensions) {
      const auto width = static_cast<int>(min(D - d, int64_t{kDimensions}));
      __syncthreads();
      for (int e = thread; e < kThreads * kDimensions; e += kThreads) {
        const int i = e % kDimensions, s = e / kDimensions;
        const bool present = i < width && begin + s < N;
        samples[i * (kThreads + 1) + s] = present ? static_cast<C>(load(x[(begin + s) * D + d + i])) : C(0);
      }
      for (int e = thread; e < kCentres * kDimensions; e += kThreads) {
        const int i = e % kDimensions, c = e / kDimensions;
        const bool present = i < width && first + c < K;
        group[i * kCentres + c] = present ? static_cast<C>(load(centres[(first + c) * D + d + i])) : C(0);
      }
      __syncthreads();
      for (int i = 0; i < width; ++i) {
        const C value = samples[i * (kThreads + 1) + thread];
#pragma unroll
        for (int c = 0; c < kCentres; ++c) {
          const C difference = value - group[i * kCentres + c];
          square[c] += difference * difference;
        }
      }
    }
  }
};

template <class T>
__device__ compute_t<T> weight_of(const T* weights, int64_t n) {
  return weights == nullptr ? compute_t<T>(1) : static_cast<compute_t<T>>(load(weights[n]));
}

// A block per tile of samples and set of centres: labels, and the tile's inertia.
template <class T>
__global__ void __launch_bounds__(kThreads) kmeans_labels_kernel(KmeansSizes sizes, const T* x, const T* centers,
                                                                 const T* weights, int32_t* labels, double* inertias) {
  using C = compute_t<T>;
  const auto [R, N, K, D] = sizes;
  const int64_t tiles = (N + kThreads - 1) / kThreads;
  for (int64_t block = blockIdx.x; block < R * tiles; block += gridDim.x) {
    const int64_t r = block / tiles, begin = block % tiles * kThreads, n = begin + threadIdx.x;
    const Distances<T> distances{x, centers + r * K * D, N, K, D};
    C square[kCentres], nearest = static_cast<C>(__builtin_inf());
    int64_t label = 0;
    for (int64_t first = 0; first < K; first += kCentres) {
      distances.of(begin, first, square);
#pragma unroll
      for (int c = 0; c < kCentres; ++c) {
        if (first + c >= K || !(square[c] < nearest)) continue;
        nearest = square[c];
        label = first + c;
      }
    }
    if (n < N) labels[r * N + n] = static_cast<int32_t>(label);
    const double sum = block_sum<kThreads>(n < N ? static_cast<double>(weight_of(weights, n) * nearest) : 0.0);
    if (threadIdx.x == 0) inertias[block] = sum;
  }
}

// A block per centre, stretch of samples and part of the dimensions: how much weight has its label, and the sums of the
// differences. A warp looks at 32 labels at once; its lanes share the dimensions of those samples that are the
// centre's.
template <class T>
__global__ void __launch_bounds__(kThreads)
    kmeans_sums_kernel(KmeansSizes sizes, int64_t stretches, const T* x, const T* centers, const T* weights,
                       const int32_t* labels, double* sums) {
  using C = compute_t<T>;
  LATENTCORE_SHARED(double, partial, kWarps*(kLines * kWarp + 1));
  const auto [R, N, K, D] = sizes;
  const auto lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const int64_t parts = (D + kLines * kWarp - 1) / (kLines * kWarp), step = (N + stretches - 1) / stretches;
  for (int64_t block = blockIdx.x; block < R * stretches * K * parts; block += gridDim.x) {
    const int64_t d = block % parts * kLines * kWarp, item = block / parts;  // item: (r, stretch, k)
    const int64_t k = item % K, stretch = item / K % stretches, r = item / K / stretches;
    const int64_t end = min((stretch + 1) * step, N);
    const T* centre = centers + (r * K + k) * D;
    double line[kLines] = {}, count = 0;
    for (int64_t first = stretch * step + warp * kWarp; first < end; first += kThreads) {
      const int64_t own = first + lane;
      unsigned found = __ballot_sync(kFullMask, own < end && labels[r * N + own] == static_cast<int32_t>(k));
      for (; found != 0; found &= found - 1) {
        const int64_t n = first + __ffs(static_cast<int>(found)) - 1;
        const C weight = weight_of(weights, n);
        count += static_cast<double>(weight);
#pragma unroll
        for (int l = 0; l < kLines; ++l) {
          const int64_t i = d + l * kWarp + lane;
          if (i < D) line[l] += static_cast<double>(weight * (load(x[n * D + i]) - load(centre[i])));
        }
      }
    }
    __syncthreads();
    double* own = partial + warp * (kLines * kWarp + 1);
    for (int l = 0; l < kLines; ++l) own[l * kWarp + lane] = line[l];
    if (lane == 0) own[kLines * kWarp] = count;
    __syncthreads();
    for (int e = static_cast<int>(threadIdx.x); e <= kLines * kWarp; e += kThreads) {
      double sum = 0;
      for (int w = 0; w < kWarps; ++w) sum += partial[w * (kLines * kWarp + 1) + e];
      if (e == kLines * kWarp) {
        if (d == 0) sums[item * (1 + D)] = sum;
      } else if (d + e < D) {
        sums[item * (1 + D) + 1 + d + e] = sum;
      }
    }
  }
}

// counts and shifts: a thread per number adds up the stretches.
template <class C>
__global__ void __launch_bounds__(kThreads)
    kmeans_gather_kernel(KmeansSizes sizes, int64_t stretches, const double* sums, C* counts, C* shifts) {
  const auto [R, N, K, D] = sizes;
  const int64_t stride = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t e = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; e < R * K * (1 + D); e += stride) {
    const int64_t i = e % (1 + D), k = e / (1 + D) % K, r = e / (1 + D) / K;
    double sum = 0;
    for (int64_t s = 0; s < stretches; ++s) sum += sums[((r * stretches + s) * K + k) * (1 + D) + i];
    if (i == 0) {
      counts[r * K + k] = static_cast<C>(sum);
    } else {
      shifts[(r * K + k) * D + i - 1] = static_cast<C>(sum);
    }
  }
}

// A block per tile of samples: its potentials (tiles, points). `out`, which may be `closest` or null, gets the lesser
// distances for the last point.
template <class T>
__global__ void __launch_bounds__(kThreads)
    kmeans_potentials_kernel(KmeansSizes sizes, const T* x, const T* points, const compute_t<T>* closest,
                             const T* weights, compute_t<T>* out, double* potentials) {
  using C = compute_t<T>;
  const auto [R, N, K, D] = sizes;
  const Distances<T> distances{x, points, N, K, D};
  for (int64_t tile = blockIdx.x; tile < (N + kThreads - 1) / kThreads; tile += gridDim.x) {
    const int64_t n = tile * kThreads + threadIdx.x;
    C square[kCentres];
    for (int64_t first = 0; first < K; first += kCentres) {
      distances.of(tile * kThreads, first, square);
      for (int c = 0; c < kCentres && first + c < K; ++c) {
        C value = 0;
        if (n < N) {
          value = closest[n] < square[c] ? closest[n] : square[c];
          if (out != nullptr) out[n] = value;
          value *= weight_of(weights, n);
        }
        const double sum = block_sum<kThreads>(static_cast<double>(value));
        if (threadIdx.x == 0) potentials[tile * K + first + c] = sum;
      }
    }
  }
}

// out: for each of several tables (rows, columns) the sums of its columns.
template <class To>
__global__ void __launch_bounds__(kThreads)
    kmeans_total_kernel(int64_t rows, int64_t columns, const double* table, To* out) {
  const int64_t i = blockIdx.x;
  double sum = 0;
  for (int64_t row = threadIdx.x; row < rows; row += kThreads) {
    sum += table[(i / columns * rows + row) * columns + i % columns];
  }
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) out[i] = static_cast<To>(sum);
}

unsigned int grid_of(int64_t blocks) {
  return static_cast<unsigned int>(std::clamp<int64_t>(blocks, 1, (1u << 31) - 1));
}

std::tuple<Tensor, Tensor, Tensor, Tensor> kmeans_step(const Tensor& x_, const Tensor& centers_,
                                                       const std::optional<Tensor>& sample_weight_) {
  const KmeansArguments given(x_, centers_, sample_weight_);
  const auto [R, N, K, D] = given.sizes;
  const DeviceGuard guard(x_.get_device_index());
  const cudaStream_t stream = current_stream(x_);
  const auto result = new_step(given);
  const auto& [labels, inertia, counts, shifts] = result;
  if (R == 0) return result;
  const int64_t tiles = (N + kThreads - 1) / kThreads;
  const int64_t stretches = std::clamp((N + kStretch - 1) / kStretch, int64_t{1}, kMostStretches);
  const auto doubles = [&](int64_t size) { return allocate(given.x, {size}, ScalarType::Double); };
  const Tensor inertias = doubles(R * tiles), sums = doubles(R * stretches * K * (1 + D));
  dispatch_floating(x_.scalar_type(), "x", [&](auto type) {
    using T = typename decltype(type)::type;
    using C = compute_t<T>;
    const int64_t parts = (D + kLines * kWarp - 1) / (kLines * kWarp);
    launch({grid_of(R * tiles), kThreads, 0, stream}, kmeans_labels_kernel<T>, given.sizes, data<T>(given.x),
           data<T>(given.centers), given.weight<T>(0), mutable_data<int32_t>(labels), mutable_data<double>(inertias));
    launch({grid_of(R), kThreads, 0, stream}, kmeans_total_kernel<C>, tiles, int64_t{1}, data<double>(inertias),
           mutable_data<C>(inertia));
    launch({grid_of(R * stretches * K * parts), kThreads, 0, stream}, kmeans_sums_kernel<T>, given.sizes, stretches,
           data<T>(given.x), data<T>(given.centers), given.weight<T>(0), data<int32_t>(labels),
           mutable_data<double>(sums));
    launch({grid_of((R * K * (1 + D) + kThreads - 1) / kThreads), kThreads, 0, stream}, kmeans_gather_kernel<C>,
           given.sizes, stretches, data<double>(sums), mutable_data<C>(counts), mutable_data<C>(shifts));
    check_launch("kmeans_step");
  });
  return result;
}

Tensor potentials_of(const KmeansArguments& given, const Tensor& closest, const Tensor* out) {
  const auto [R, N, K, D] = given.sizes;
  const DeviceGuard guard(given.x.get_device_index());
  const cudaStream_t stream = current_stream(given.x);
  const int64_t tiles = (N + kThreads - 1) / kThreads;
  const Tensor potentials = allocate(given.x, {K}, ScalarType::Double);
  const Tensor parts = allocate(given.x, {tiles, K}, ScalarType::Double);
  dispatch_floating(given.x.scalar_type(), "x", [&](auto type) {
    using T = typename decltype(type)::type;
    using C = compute_t<T>;
    launch({grid_of(tiles), kThreads, 0, stream}, kmeans_potentials_kernel<T>, given.sizes, data<T>(given.x),
           data<T>(given.centers), data<C>(closest), given.weight<T>(0),
           out != nullptr ? mutable_data<C>(*out) : nullptr, mutable_data<double>(parts));
    launch({grid_of(K), kThreads, 0, stream}, kmeans_total_kernel<double>, tiles, K, data<double>(parts),
           mutable_data<double>(potentials));
    check_launch("kmeans_potentials");
  });
  return potentials;
}

}  // namespace

LATENTCORE_CUDA_OPERATORS(m) {
  m.impl("kmeans_step", TORCH_BOX(&kmeans_step));
  m.impl("kmeans_potentials", TORCH_BOX(&kmeans_potentials<&potentials_of>));
  m.impl("kmeans_update", TORCH_BOX(&kmeans_update<&potentials_of>));
}

}  // namespace latentcore
