// Rows in memory, read and written 16 bytes at a time where they are aligned to that.
#pragma once

#include "cuda/device.cuh"
#include "math/storage.h"

namespace latentcore {

template <class T, int size>
struct alignas(sizeof(T) * size) Pack {
  T values[size];
};

// Elements in 16 bytes of the larger of two types, so that one pack of each belongs to the same elements.
template <class T, class U>
constexpr int kPackSize = 16 / static_cast<int>(sizeof(T) > sizeof(U) ? sizeof(T) : sizeof(U));

template <int size, class T>
__device__ Pack<T, size> load_pack(const T* source) {
  return *reinterpret_cast<const Pack<T, size>*>(source);
}

template <class T, int size>
__device__ void store_pack(const Pack<T, size>& pack, T* out) {
  *reinterpret_cast<Pack<T, size>*>(out) = pack;
}

// Whether rows of `length` elements start at multiples of `size` elements.
inline bool rows_are_packed(const void* pointer, int64_t length, int64_t bytes, int size) {
  const auto pack = static_cast<uintptr_t>(bytes * size);
  return reinterpret_cast<uintptr_t>(pointer) % pack == 0 && length % size == 0;
}

}  // namespace latentcore
