// Loads of four numbers each from scattered places, sorted into registers of firsts, seconds, thirds and fourths.
#pragma once

#include "cpu/simd/vector.h"

#ifdef LATENTCORE_LEVEL

#include <immintrin.h>

#include <utility>

namespace latentcore {
namespace {

// A register, or a quad where that is larger.
template <class C>
constexpr int kQuadLanes = kLanes<C> > 4 ? kLanes<C> : 4;
template <class C, int lanes>
struct Lanes {
  using type __attribute__((vector_size(lanes * sizeof(C)))) = C;
};
template <class C>
using QuadVector = typename Lanes<C, kQuadLanes<C>>::type;

template <class V, class Out, int... i>
LATENTCORE_FUNCTION void shuffle(const V& a, const V& b, std::integer_sequence<int, i...>, Out& out) {
  out = __builtin_shufflevector(a, b, i...);
}

template <class V, class Out>
LATENTCORE_FUNCTION void join(const V& low, const V& high, Out& out) {
  shuffle(low, high, std::make_integer_sequence<int, sizeof(out) / sizeof(out[0])>{}, out);
}
#ifdef __AVX__
// g++ makes two instructions of the shuffle that could be one with its load.
LATENTCORE_FUNCTION void join(const __m128& low, const __m128& high, __m256& out) {
  out = _mm256_insertf128_ps(_mm256_castps128_ps256(low), high, 1);
}
#endif

// The quads at from + 2 * index[0], from + 2 * index[4], ...; results are written, not returned: a vector larger than a
// register has no place in the calling convention.
template <class C, int lanes>
LATENTCORE_FUNCTION void join_quads(const C* from, const int32_t* index, typename Lanes<C, lanes>::type& out) {
  if constexpr (lanes == 4) {
    __builtin_memcpy(&out, from + 2 * int64_t{*index}, sizeof(out));
  } else {
    typename Lanes<C, lanes / 2>::type low, high;
    join_quads<C, lanes / 2>(from, index, low);
    join_quads<C, lanes / 2>(from, index + lanes / 2, high);
    join(low, high, out);
  }
}

// Indices of a shuffle that takes, in every group of four lanes, those of a step of transposing.
template <int lanes, int... pick>
struct InGroups {
  static constexpr int kPick[4] = {pick...};  // 0-3: of the first, 4-7: of the second
  template <int... l>
  static constexpr auto make(std::integer_sequence<int, l...>) {
    return std::integer_sequence<int, (l / 4 * 4 + kPick[l % 4] % 4 + kPick[l % 4] / 4 * lanes)...>{};
  }
  using type = decltype(make(std::make_integer_sequence<int, lanes>{}));
};

// out[i] holds the i-th numbers of the quads at from + 2 * index[0], from + 2 * index[1], ...
template <class C>
LATENTCORE_FUNCTION void load_quads(const C* from, const int32_t* index, QuadVector<C> (&out)[4]) {
  constexpr int lanes = kQuadLanes<C>;
  QuadVector<C> quads[4], low[2], high[2];
  for (int i = 0; i < 4; ++i) join_quads<C, lanes>(from, index + i, quads[i]);
  using Low = typename InGroups<lanes, 0, 4, 1, 5>::type;
  using High = typename InGroups<lanes, 2, 6, 3, 7>::type;
  using Front = typename InGroups<lanes, 0, 1, 4, 5>::type;
  using Back = typename InGroups<lanes, 2, 3, 6, 7>::type;
  for (int i = 0; i < 2; ++i) {
    shuffle(quads[2 * i], quads[2 * i + 1], Low{}, low[i]);
    shuffle(quads[2 * i], quads[2 * i + 1], High{}, high[i]);
  }
  shuffle(low[0], low[1], Front{}, out[0]);
  shuffle(low[0], low[1], Back{}, out[1]);
  shuffle(high[0], high[1], Front{}, out[2]);
  shuffle(high[0], high[1], Back{}, out[3]);
}

}  // namespace
}  // namespace latentcore

#endif
