// The device vocabulary: what kernels use beside plain C++. It has two forms: CUDA's, and that of the runtime on the
// CPU under which the tests run the very same kernels (tests/cuda_host).
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace latentcore {

constexpr int kWarp = 32;
constexpr unsigned kFullMask = 0xffffffffu;

struct Launch {
  unsigned int blocks;
  int threads;
  size_t shared_bytes;
  cudaStream_t stream;
};

// All launches go through here.
template <class... Parameters, class... Arguments>
void launch(const Launch& where, void (*kernel)(Parameters...), const Arguments&... arguments) {
#if defined(__CUDACC__)
  if (where.shared_bytes > size_t{48} << 10) {  // more than every kernel may have without asking
    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(where.shared_bytes));
  }
  kernel<<<where.blocks, where.threads, where.shared_bytes, where.stream>>>(static_cast<Parameters>(arguments)...);
#else
  cuda_host::launch({where.blocks, 1, 1}, {static_cast<unsigned>(where.threads), 1, 1}, where.shared_bytes,
                    [&] { kernel(static_cast<Parameters>(arguments)...); });
#endif
}

// Shared memory: an array `name` of a fixed size, and what the launch asked for.
#if defined(__CUDACC__)
#define LATENTCORE_SHARED(type, name, size) __shared__ type name[size]

template <class T>
__device__ T* dynamic_shared() {
  extern __shared__ __align__(16) unsigned char latentcore_dynamic_shared[];
  return reinterpret_cast<T*>(latentcore_dynamic_shared);
}
#else
#define LATENTCORE_SHARED(type, name, size) \
  static const char name##_key = 0;         \
  type* const name = static_cast<type*>(cuda_host::static_shared(&name##_key, sizeof(type) * (size)))

template <class T>
T* dynamic_shared() {
  return static_cast<T*>(cuda_host::dynamic_shared());
}
#endif

// Sum over a group of G neighbouring threads of a warp (G a power of two), in a fixed order; every thread of the warp
// must call it, and every thread of the group gets the sum.
template <int G, class T>
__device__ T group_sum(T value) {
#pragma unroll
  for (int distance = G / 2; distance > 0; distance /= 2) {
    value += __shfl_xor_sync(kFullMask, value, distance, G);
  }
  return value;
}

// Adds 32 values over the warp, each over all threads: thread l gets the sum of values[l], in a fixed order. Every step
// gives half of the values away, so that it takes 31 shuffles where 32 calls of group_sum take 160. `values` is used
// up.
template <int half = kWarp / 2, class T, int size>
__device__ T transposed_warp_sum(T (&values)[size]) {
  const bool upper = (threadIdx.x & static_cast<unsigned>(half)) != 0;
#pragma unroll
  for (int i = 0; i < half; ++i) {
    const T given = upper ? values[i] : values[i + half], kept = upper ? values[i + half] : values[i];
    values[i] = kept + __shfl_xor_sync(kFullMask, given, half);
  }
  if constexpr (half > 1) return transposed_warp_sum<half / 2>(values);
  return values[0];
}

// Sum over the block's `threads` threads, in a fixed order; thread 0 gets it. The block has met when it returns.
template <int threads, class T>
__device__ T block_sum(T value) {
  LATENTCORE_SHARED(T, partial, threads / kWarp);
  value = group_sum<kWarp>(value);
  const int thread = static_cast<int>(threadIdx.x);
  if (thread % kWarp == 0) partial[thread / kWarp] = value;
  __syncthreads();
  T total = 0;
  if (thread == 0) {
    for (int warp = 0; warp < threads / kWarp; ++warp) total += partial[warp];
  }
  __syncthreads();
  return total;
}

}  // namespace latentcore
