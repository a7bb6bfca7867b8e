// What the kernels use of CUDA, for g++: the sources of csrc/cuda compiled with this folder first in the include path
// run on the CPU, every thread of a block as a fibre (runtime.h).
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "runtime.h"

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)

using cudaStream_t = void*;
using cudaError_t = int;
constexpr cudaError_t cudaSuccess = 0;

#define threadIdx (::cuda_host::current().thread)
#define blockIdx (::cuda_host::current().block)
#define blockDim (::cuda_host::current().block_size)
#define gridDim (::cuda_host::current().grid_size)

inline void __syncthreads() { ::cuda_host::synchronize_block(); }
inline void __syncwarp(unsigned mask = 0xffffffffu) { ::cuda_host::meet("__syncwarp", mask, 0); }
inline void __threadfence() {}

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
  return ::cuda_host::shuffle("__shfl_sync", mask, value,
                              [=](int lane) { return (lane & ~(width - 1)) | (source & (width - 1)); });
}

template <class T>
T __shfl_xor_sync(unsigned mask, T value, int distance, int width = 32) {
  return ::cuda_host::shuffle("__shfl_xor_sync", mask, value, [=](int lane) {
    const int source = lane ^ distance;
    return (source & ~(width - 1)) <= (lane & ~(width - 1)) ? source : lane;
  });
}

template <class T>
T __shfl_down_sync(unsigned mask, T value, int distance, int width = 32) {
  return ::cuda_host::shuffle("__shfl_down_sync", mask, value, [=](int lane) {
    return (lane & (width - 1)) + distance < width ? lane + distance : lane;
  });
}

inline unsigned __ballot_sync(unsigned mask, int predicate) {
  const auto& votes = ::cuda_host::meet("__ballot_sync", mask, predicate != 0 ? 1 : 0);
  unsigned result = 0;
  for (unsigned lane = 0; lane < 32; ++lane) {
    if ((mask >> lane & 1u) != 0 && votes.values[lane] != 0) result |= 1u << lane;
  }
  return result;
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) == mask; }

// The fibres of a launch share one thread of the machine: a plain read and write cannot be torn.
template <class T>
T atomicAdd(T* address, T value) {
  const T before = *address;
  *address = before + value;
  return before;
}

inline cudaError_t cudaGetLastError() { return ::cuda_host::take_error(); }
inline const char* cudaGetErrorString(cudaError_t) { return ::cuda_host::error_text(); }
