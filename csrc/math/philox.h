// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011)
// and the Box-Muller transform.
//
// The noise of element i is a function of (seed, i) alone: key = seed, counter = i / 4, lane = i % 4. So it does not
// depend on the number of threads, the split of a batch, or the device.
#pragma once

#include <cstdint>

#include "math/elementary.h"

namespace latentcore {

struct Philox4 {
  uint32_t lane[4];
};

LATENTCORE_FUNCTION Philox4 philox4x32_10(uint64_t counter_low, uint64_t counter_high, uint64_t key) {
  uint32_t c0 = static_cast<uint32_t>(counter_low);
  uint32_t c1 = static_cast<uint32_t>(counter_low >> 32);
  uint32_t c2 = static_cast<uint32_t>(counter_high);
  uint32_t c3 = static_cast<uint32_t>(counter_high >> 32);
  uint32_t k0 = static_cast<uint32_t>(key);
  uint32_t k1 = static_cast<uint32_t>(key >> 32);
  LATENTCORE_UNROLL
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * c0;
    const uint64_t p1 = uint64_t{0xCD9E8D57u} * c2;
    c0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c1 = static_cast<uint32_t>(p1);
    c2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c3 = static_cast<uint32_t>(p0);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

// Two independent standard normal numbers out of 64 random bits: the radius from `a`, the angle from `b`.
template <class T>
LATENTCORE_FUNCTION void box_muller(uint32_t a, uint32_t b, T& first, T& second) {
  // (a + 1/2) / 2^32 lies in (0, 1): the logarithm is finite
  const T radius = sqrt(T(-2) * log_normal((static_cast<T>(a) + T(0.5)) * T(2.3283064365386963e-10)));
  // The quarter turn nearest to the angle is found in integers, so that the rest is exact in float too.
  const uint32_t quarter = (b + 0x20000000u) >> 30;
  const auto rest = static_cast<int32_t>(b - (quarter << 30));
  T sine, cosine;
  sincos_quarter(static_cast<T>(rest) * T(9.313225746154785e-10), sine, cosine);
  const bool swapped = (quarter & 1u) != 0;
  const T x = swapped ? sine : cosine;
  const T y = swapped ? cosine : sine;
  first = radius * (((quarter + 1u) & 2u) != 0 ? -x : x);
  second = radius * ((quarter & 2u) != 0 ? -y : y);
}

// The noise of the elements 4 * counter ... 4 * counter + 3.
template <class T>
LATENTCORE_FUNCTION void normal4(uint64_t seed, uint64_t counter, T* out) {
  const Philox4 bits = philox4x32_10(counter, 0, seed);
  box_muller(bits.lane[0], bits.lane[1], out[0], out[1]);
  box_muller(bits.lane[2], bits.lane[3], out[2], out[3]);
}

}  // namespace latentcore
