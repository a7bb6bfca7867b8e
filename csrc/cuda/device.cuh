// The device vocabulary: what kernels use beside plain C++.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace latentcore {

constexpr int kWarp = 32;

// Sum over a group of G neighbouring threads of a warp (G a power of two), in a fixed order; every thread of the warp
// must call it, and every thread of the group gets the sum.
template <int G, class T>
__device__ T group_sum(T value) {
#pragma unroll
  for (int distance = G / 2; distance > 0; distance /= 2) {
    value += __shfl_xor_sync(0xffffffffu, value, distance, G);
  }
  return value;
}

}  // namespace latentcore
