// Blocks: stretches of elements that fit the first-level cache, converted to the type of computation on the way in.
#pragma once

#include <cstdint>

#include "math/storage.h"

namespace latentcore {

// Elements in a block.
constexpr int64_t kBlock = 256;

template <class T>
LATENTCORE_FUNCTION void load_block(const T* source, int64_t size, compute_t<T>* out) {
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) out[i] = load(source[i]);
}

template <class T>
LATENTCORE_FUNCTION void store_block(const compute_t<T>* source, int64_t size, T* out) {
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) out[i] = store<T>(source[i]);
}

template <class T>
LATENTCORE_FUNCTION T sum_block(const T* values, int64_t size) {
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < size; ++i) sum += values[i];
  return sum;
}

// A sum over blocks whose error does not grow with their number: floats are summed by block, blocks in double.
template <class T>
struct BlockSum {
  double total = 0;
  void add(const T* values, int64_t size) { total += static_cast<double>(sum_block(values, size)); }
  T take() {
    const double result = total;
    total = 0;
    return static_cast<T>(result);
  }
};

}  // namespace latentcore
