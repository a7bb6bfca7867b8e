// The noise of a block of elements, many Philox counters at once: the numbers of math/philox.h's normal4.
#pragma once

#include "cpu/simd/levels.h"

#ifdef LATENTCORE_LEVEL

#include <immintrin.h>

#include "cpu/simd/block.h"
#include "cpu/simd/vector.h"
#include "math/philox.h"

namespace latentcore {
namespace {

// Counters in the 64-bit lanes of a register; only the low halves of the lanes count.
using Words __attribute__((vector_size(kVectorBytes))) = uint64_t;

// Counters that are drawn at once: two registers of Words, one of 32-bit numbers.
constexpr int64_t kCounters = kVectorBytes / 4;
// Room for a block that starts inside a counter and ends inside a group of counters.
constexpr int64_t kNoiseBuffer = kBlock + 8 * kCounters;

// The products of the low halves of the lanes.
LATENTCORE_FUNCTION Words multiply_low_halves(Words a, Words b) {
#if defined(__AVX512F__)
  // with a mask, since g++ 12 warns of its own header without one
  return reinterpret_cast<Words>(
      _mm512_maskz_mul_epu32(0xff, reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
#elif defined(__AVX2__)
  return reinterpret_cast<Words>(_mm256_mul_epu32(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
#else
  return reinterpret_cast<Words>(_mm_mul_epu32(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
#endif
}

// Philox4x32-10 of math/philox.h. What gathers in the high halves never comes back: products ignore it.
LATENTCORE_FUNCTION void philox_words(Words counter, uint64_t key, Words (&lane)[4]) {
  Words c0 = counter, c1 = counter >> 32, c2 = {}, c3 = {};
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  LATENTCORE_UNROLL
  for (int round = 0; round < 10; ++round) {
    const Words p0 = multiply_low_halves(c0, Words{} + uint64_t{0xD2511F53u});
    const Words p1 = multiply_low_halves(c2, Words{} + uint64_t{0xCD9E8D57u});
    c0 = (p1 >> 32) ^ c1 ^ uint64_t{k0};
    c1 = p1;
    c2 = (p0 >> 32) ^ c3 ^ uint64_t{k1};
    c3 = p0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  lane[0] = c0, lane[1] = c1, lane[2] = c2, lane[3] = c3;
}

// Where in a group of counters the one stands whose numbers are computed in SIMD lane l: float's lanes are dealt so
// that putting four registers together (see `store_group`) leaves the noise in order.
template <class C>
constexpr int64_t place(int64_t l) {
  return sizeof(C) == 4 ? kCounters / 4 * (l % 4) + l / 4 : l;
}

// The random bits of kCounters counters, by SIMD lane.
template <class C>
LATENTCORE_FUNCTION void draw_group(uint64_t seed, uint64_t counter, uint32_t (*bits)[kCounters]) {
  Words even = {}, odd = {};
  LATENTCORE_UNROLL
  for (int i = 0; i < kCounters / 2; ++i) {
    even[i] = static_cast<uint64_t>(place<C>(2 * i));
    odd[i] = static_cast<uint64_t>(place<C>(2 * i + 1));
  }
  Words left[4], right[4];
  philox_words(even + counter, seed, left);
  philox_words(odd + counter, seed, right);
  LATENTCORE_UNROLL
  for (int w = 0; w < 4; ++w) {
    const Words both = (left[w] & uint64_t{0xffffffffu}) | (right[w] << 32);
    __builtin_memcpy(bits[w], &both, sizeof(both));
  }
}

// Lanes of `a` and `b` in turns, two by two or one by one inside every 128 bits.
template <int step>
LATENTCORE_FUNCTION void zip(const Vector<float>& a, const Vector<float>& b, Vector<float>& low, Vector<float>& high) {
  typename VectorOf<float>::mask first = {}, second = {};
  LATENTCORE_UNROLL
  for (int l = 0; l < kLanes<float>; ++l) {
    const int quad = l & ~3, within = l & 3;
    const int source = step == 1 ? within / 2 : (within & 1);
    const bool from_b = step == 1 ? (within & 1) != 0 : within >= 2;
    first[l] = quad + source + (from_b ? kLanes<float> : 0);
    second[l] = first[l] + 2;
  }
  low = __builtin_shuffle(a, b, first);
  high = __builtin_shuffle(a, b, second);
}

// Puts the four numbers of every counter side by side.
LATENTCORE_FUNCTION void store_group(const float (*numbers)[kCounters], float* out) {
  Vector<float> row[4], low[2], high[2];
  LATENTCORE_UNROLL
  for (int w = 0; w < 4; ++w) row[w] = load_vector(numbers[w]);
  zip<1>(row[0], row[1], low[0], high[0]);
  zip<1>(row[2], row[3], low[1], high[1]);
  zip<2>(low[0], low[1], row[0], row[1]);
  zip<2>(high[0], high[1], row[2], row[3]);
  LATENTCORE_UNROLL
  for (int w = 0; w < 4; ++w) store_vector<float>(row[w], out + w * kCounters);
}

LATENTCORE_FUNCTION void store_group(const double (*numbers)[kCounters], double* out) {
#pragma omp simd
  for (int64_t i = 0; i < kCounters; ++i) {
    for (int64_t w = 0; w < 4; ++w) out[4 * i + w] = numbers[w][i];
  }
}

// The noise of the elements first ... first + size - 1, size <= kBlock. `buffer` holds kNoiseBuffer numbers; returns
// where in it the noise of `first` stands.
template <class C>
LATENTCORE_FUNCTION const C* normal_block(uint64_t seed, uint64_t first, int64_t size, C* buffer) {
  const uint64_t counter = first / 4;
  const auto lane = static_cast<int64_t>(first % 4);
  const int64_t counters = (lane + size + 3) / 4;
  for (int64_t i = 0; i < counters; i += kCounters) {
    uint32_t bits[4][kCounters];
    C numbers[4][kCounters];
    draw_group<C>(seed, counter + static_cast<uint64_t>(i), bits);
#pragma omp simd
    for (int64_t c = 0; c < kCounters; ++c) {
      box_muller(bits[0][c], bits[1][c], numbers[0][c], numbers[1][c]);
      box_muller(bits[2][c], bits[3][c], numbers[2][c], numbers[3][c]);
    }
    store_group(numbers, buffer + 4 * i);
  }
  return buffer + lane;
}

}  // namespace
}  // namespace latentcore

#endif
