// Element types as they lie in memory, and the type in which each is computed.
//
// half and bfloat16 are our own, so that code compiled for one instruction set shares no inline function with another.
#pragma once

#include <cstdint>
#include <type_traits>

#include "math/qualifiers.h"

#if defined(__CUDACC__)
#include <cuda_fp16.h>
#endif

namespace latentcore {

struct half {
  uint16_t bits;
};

struct bfloat16 {
  uint16_t bits;
};

template <class T>
struct compute {
  using type = T;
};
template <>
struct compute<half> {
  using type = float;
};
template <>
struct compute<bfloat16> {
  using type = float;
};
template <>
struct compute<uint8_t> {
  using type = float;
};
// double for double, float for every smaller type
template <class T>
using compute_t = typename compute<T>::type;

template <class To, class From>
LATENTCORE_FUNCTION To bit_copy(From value) {
  static_assert(sizeof(To) == sizeof(From));
  To result;
  __builtin_memcpy(&result, &value, sizeof(To));
  return result;
}

LATENTCORE_FUNCTION float load(float value) { return value; }
LATENTCORE_FUNCTION double load(double value) { return value; }
LATENTCORE_FUNCTION float load(uint8_t value) { return static_cast<float>(value); }
LATENTCORE_FUNCTION float load(bfloat16 value) { return bit_copy<float>(static_cast<uint32_t>(value.bits) << 16); }
LATENTCORE_FUNCTION float load(half value) {
#if defined(__CUDACC__)
  return __half2float(bit_copy<__half>(value.bits));
#else
  return static_cast<float>(bit_copy<_Float16>(value.bits));
#endif
}

// Rounds to nearest, ties to even; NaN stays NaN.
template <class T>
LATENTCORE_FUNCTION T store(compute_t<T> value) {
  if constexpr (std::is_same_v<T, bfloat16>) {
    const auto bits = bit_copy<uint32_t>(value);
    const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    return {static_cast<uint16_t>(value != value ? 0x7fc0u : rounded)};
  } else if constexpr (std::is_same_v<T, half>) {
#if defined(__CUDACC__)
    return {bit_copy<uint16_t>(__float2half_rn(value))};
#else
    return {bit_copy<uint16_t>(static_cast<_Float16>(value))};
#endif
  } else {
    return value;
  }
}

}  // namespace latentcore
