// A register of the instruction set as one value with arithmetic, for the loops that have to keep sums in registers;
// all others are plain loops under `#pragma omp simd`.
#pragma once

#include "cpu/simd/levels.h"
#include "math/elementary.h"

#ifdef LATENTCORE_LEVEL

namespace latentcore {
namespace {

constexpr bool kAvx512 = SimdLevel::LATENTCORE_LEVEL == SimdLevel::avx512;
constexpr int kVectorBytes = kAvx512 ? 64 : (SimdLevel::LATENTCORE_LEVEL == SimdLevel::avx2 ? 32 : 16);

template <class C>
struct VectorOf;
template <>
struct VectorOf<float> {
  using type __attribute__((vector_size(kVectorBytes))) = float;
  using mask __attribute__((vector_size(kVectorBytes))) = int32_t;
};
template <>
struct VectorOf<double> {
  using type __attribute__((vector_size(kVectorBytes))) = double;
  using mask __attribute__((vector_size(kVectorBytes))) = int64_t;
};
template <class C>
using Vector = typename VectorOf<C>::type;
template <class C>
constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(C));

template <class C>
LATENTCORE_FUNCTION Vector<C> load_vector(const C* source) {
  Vector<C> result;
  __builtin_memcpy(&result, source, sizeof(result));
  return result;
}

template <class C>
LATENTCORE_FUNCTION void store_vector(const Vector<C>& value, C* out) {
  __builtin_memcpy(out, &value, sizeof(value));
}

// A step of transposing and of adding up lanes, for `bit` = 1, 2, 4, ...: `low` gets the lanes of `a` without the bit,
// each followed by the same lane of `b`; `high` the lanes with the bit.
template <class C, int bit>
LATENTCORE_FUNCTION void interleave(const Vector<C>& a, const Vector<C>& b, Vector<C>& low, Vector<C>& high) {
  constexpr int lanes = kLanes<C>;
  typename VectorOf<C>::mask without = {}, with = {};
  LATENTCORE_UNROLL
  for (int l = 0; l < lanes; ++l) {
    without[l] = (l & bit) ? lanes + (l & ~bit) : l;
    with[l] = (l & bit) ? lanes + l : (l | bit);
  }
  const Vector<C> result = __builtin_shuffle(a, b, without);
  high = __builtin_shuffle(a, b, with);
  low = result;
}

// rows[i][j] becomes rows[j][i].
template <class C, int bit = 1>
LATENTCORE_FUNCTION void transpose(Vector<C> (&rows)[kLanes<C>]) {
  if constexpr (bit < kLanes<C>) {
    LATENTCORE_UNROLL
    for (int i = 0; i < kLanes<C>; ++i) {
      if ((i & bit) == 0) interleave<C, bit>(rows[i], rows[i | bit], rows[i], rows[i | bit]);
    }
    transpose<C, 2 * bit>(rows);
  }
}

template <class C, int bit = 1>
LATENTCORE_FUNCTION void fold(Vector<C> (&values)[kLanes<C>]) {
  if constexpr (bit < kLanes<C>) {
    LATENTCORE_UNROLL
    for (int i = 0; i < kLanes<C> / bit; i += 2) {
      Vector<C> low, high;
      interleave<C, bit>(values[i], values[i + 1], low, high);
      values[i / 2] = low + high;
    }
    fold<C, 2 * bit>(values);
  }
}

// sums[i] = the sum over the lanes of values[i]
template <class C, int64_t count>
LATENTCORE_FUNCTION void sum_lanes(const Vector<C> (&values)[count], C (&sums)[count]) {
  constexpr int64_t lanes = kLanes<C>;
  LATENTCORE_UNROLL
  for (int64_t begin = 0; begin < count; begin += lanes) {
    const int64_t used = min(lanes, count - begin);
    Vector<C> folded[lanes] = {};
    for (int64_t i = 0; i < used; ++i) folded[i] = values[begin + i];
    fold<C>(folded);
    C all[lanes];
    store_vector<C>(folded[0], all);
    for (int64_t i = 0; i < used; ++i) sums[begin + i] = all[i];
  }
}

}  // namespace
}  // namespace latentcore

#endif
