// The part of the image that a tile of the result reads, copied for sampling: converted to the type of computation,
// with a ring of the fill value where it reaches beyond the image, and each pixel beside the one below it, so that the
// four neighbours of a point are one load.
#pragma once

#include "cpu/simd/warp_map.h"

#ifdef LATENTCORE_LEVEL

#include "cpu/simd/pieces.h"
#include "cpu/simd/vector.h"

namespace latentcore {
namespace {

// out[2 i] = upper[i], out[2 i + 1] = lower[i] for a register of both
template <class C>
LATENTCORE_FUNCTION void store_pairs(const Vector<C>& upper, const Vector<C>& lower, C* out) {
  constexpr int lanes = kLanes<C>;
  typename VectorOf<C>::mask first = {};
  LATENTCORE_UNROLL
  for (int l = 0; l < lanes; ++l) first[l] = l / 2 + l % 2 * lanes;
  store_vector<C>(__builtin_shuffle(upper, lower, first), out);
  store_vector<C>(__builtin_shuffle(upper, lower, first + lanes / 2), out + lanes);
}

// A register of the pixels from `begin` on, of which there are `size`; the fill where there is no row.
template <class In, class C>
LATENTCORE_FUNCTION Vector<C> convert_pixels(const Plane<In, C>& plane, const In* row, int64_t begin, int64_t size) {
  C out[kLanes<C>] = {};
  if (row == nullptr) {
    for (C& value : out) value = plane.fill;
  } else {
    with_size<kLanes<C>>(size, [&](auto n) LATENTCORE_INLINED {
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) out[i] = plane.gain * static_cast<C>(load(row[begin + i]));
    });
  }
  return load_vector(out);
}

// Row `y` of the box with the row below it. Up to a register more is written, where the next row comes.
template <class In, class C>
LATENTCORE_FUNCTION void copy_pairs(const Plane<In, C>& plane, const Box& box, int64_t y, C* out) {
  const int64_t first = box.x < 0 ? 1 : 0, last = min(box.width, plane.W - box.x);
  const In* start = plane.pixels + y * plane.W + box.x + first;
  const In* upper = y >= 0 ? start : nullptr;
  const In* lower = y + 1 < plane.H ? start + plane.W : nullptr;
  cover<kLanes<C>>(last - first, [&](int64_t, int64_t begin, int64_t n) LATENTCORE_INLINED {
    store_pairs<C>(convert_pixels(plane, upper, begin, n), convert_pixels(plane, lower, begin, n),
                   out + 2 * (first + begin));
  });
  if (first > 0) out[0] = out[1] = plane.fill;
  if (last < box.width) out[2 * last] = out[2 * last + 1] = plane.fill;
}

template <class In, class C>
LATENTCORE_FUNCTION void copy_box(const Plane<In, C>& plane, const Box& box, C* out) {
  for (int64_t y = 0; y < box.height - 1; ++y) copy_pairs(plane, box, box.y + y, out + 2 * y * box.width);
}

// Asks for memory that is going to be read: processors foresee that only where it lies in one stretch.
template <class In>
LATENTCORE_FUNCTION void prefetch(const In* begin, int64_t count) {
  constexpr int64_t line = 64 / sizeof(In);
  for (int64_t i = 0; i < count; i += line) __builtin_prefetch(begin + i);
}

template <class In, class C>
LATENTCORE_FUNCTION void prefetch_box(const Plane<In, C>& plane, const Box& box) {
  for (int64_t y = max(box.y, int64_t{0}); y < min(box.y + box.height, plane.H); ++y) {
    prefetch(plane.pixels + y * plane.W + box.x, box.width);
  }
}

}  // namespace
}  // namespace latentcore

#endif
