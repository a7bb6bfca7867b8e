// A tile of the result of a warp, sampled from its box: no pixel needs a check, and what is read lies close together,
// whatever the image's size.
#pragma once

#include "cpu/simd/warp_map.h"

#ifdef LATENTCORE_LEVEL

#include "cpu/simd/pieces.h"
#include "cpu/simd/quads.h"

namespace latentcore {
namespace {

// One coordinate of the source points of a tile's row, counted from the middle of the box, where float keeps the most
// digits.
template <class K>
struct Axis {
  double at, by_row;        // the source of the tile's middle column in the image's row 0, and the step from row to row
  K step;                   // from column to column
  K first, last, greatest;  // of the box, and the last that has a neighbour

  Axis(const double* m, int64_t column, int64_t origin, int64_t size)
      : at(m[0] * static_cast<double>(column) + m[2] - static_cast<double>(origin + size / 2)),
        by_row(m[1]),
        step(static_cast<K>(m[0])),
        first(static_cast<K>(-(size / 2))),
        last(first + static_cast<K>(size - 1)),
        greatest(last - K(1)) {}

  // The neighbour of column k, and in `rest` how far the point lies from it, in [0, 1]: points outside the box come to
  // its ring.
  LATENTCORE_MEMBER K place(K start, K k, K& rest) const {
    const K point = min(max(start + step * k, first), last);
    const K whole = min(floor(point), greatest);
    rest = point - whole;
    return whole;
  }
};

// Where the pixels of a tile come from, by registers: the left upper neighbour of each, and the place between
// neighbours. They are found before the first is used: a processor takes long to read a number out of a register that
// it has just stored.
template <class C>
struct Places {
  static constexpr int64_t kSlots = kTile;  // of a row, at most
  int32_t index[kTile * kSlots];
  C dx[kTile * kSlots], dy[kTile * kSlots];
};

// The places of a row of `count` pixels, in slots from `slots` on. With `nearest` a point is moved to the pixel that it
// is nearest to.
template <bool nearest, class K, class C>
LATENTCORE_FUNCTION void find_row(const Axis<K>& x, const Axis<K>& y, int64_t row, int64_t count, int64_t stride,
                                  int64_t slots, Places<C>& out) {
  constexpr int lanes = kQuadLanes<C>;
  const auto line = static_cast<double>(row);
  const K x_start = static_cast<K>(x.at + x.by_row * line), y_start = static_cast<K>(y.at + y.by_row * line);
  // exact: boxes are small
  const K width = static_cast<K>(stride), base = -x.first - y.first * width;
  cover<lanes>(count, [&](int64_t offset, int64_t begin, int64_t) LATENTCORE_INLINED {
    const K k = static_cast<K>(begin - count / 2);
    const int64_t slot = slots + offset;
#pragma omp simd
    for (int l = 0; l < lanes; ++l) {
      K dx, dy;
      const K column = x.place(x_start, k + static_cast<K>(l), dx), above = y.place(y_start, k + static_cast<K>(l), dy);
      out.index[slot + l] = static_cast<int32_t>(above * width + column + base);
      out.dx[slot + l] = static_cast<C>(nearest ? (dx >= K(0.5) ? K(1) : K(0)) : dx);
      out.dy[slot + l] = static_cast<C>(nearest ? (dy >= K(0.5) ? K(1) : K(0)) : dy);
    }
  });
}

template <bool nearest, class K, class C>
LATENTCORE_FUNCTION void find_rows(const double* matrix, const Tile& tile, const Box& box, Places<C>& out) {
  const int64_t width = tile.x_end - tile.x_begin, middle = tile.x_begin + width / 2;
  const Axis<K> x(matrix, middle, box.x, box.width), y(matrix + 3, middle, box.y, box.height);
  for (int64_t row = tile.y_begin; row < tile.y_end; ++row) {
    find_row<nearest>(x, y, row, width, box.width, (row - tile.y_begin) * out.kSlots, out);
  }
}

template <class C>
LATENTCORE_FUNCTION void find_places(const double* matrix, bool nearest, const Tile& tile, const Box& box,
                                     Places<C>& out) {
  if (nearest) {  // which of two pixels is nearer may hang on the last digit
    find_rows<true, double>(matrix, tile, box, out);
  } else {
    find_rows<false, C>(matrix, tile, box, out);
  }
}

// `between` of all lanes, written to `out`.
template <class C>
LATENTCORE_FUNCTION void between_lanes(const QuadVector<C>& a, const QuadVector<C>& b, const QuadVector<C>& d,
                                       QuadVector<C>& out) {
  const QuadVector<C> blend = (C(1) - d) * a + d * b;
  out = d == C(0) ? a : (d == C(1) ? b : blend);
}

template <class C>
LATENTCORE_FUNCTION void blend(const C* box, const int32_t* index, const C* dxs, const C* dys, C* out) {
  QuadVector<C> quads[4], dx, dy, upper, lower, result;
  load_quads(box, index, quads);
  __builtin_memcpy(&dx, dxs, sizeof(dx));
  __builtin_memcpy(&dy, dys, sizeof(dy));
  between_lanes<C>(quads[0], quads[2], dx, upper);
  between_lanes<C>(quads[1], quads[3], dx, lower);
  between_lanes<C>(upper, lower, dy, result);
  __builtin_memcpy(out, &result, sizeof(result));
}

// One channel of a tile; `out` is the first pixel of the channel's result.
template <class T>
LATENTCORE_FUNCTION void sample_tile(const compute_t<T>* box, const Places<compute_t<T>>& places, const Tile& tile,
                                     int64_t W, T* out) {
  using C = compute_t<T>;
  constexpr int lanes = kQuadLanes<C>;
  for (int64_t row = tile.y_begin; row < tile.y_end; ++row) {
    T* result = out + row * W + tile.x_begin;
    const int64_t slots = (row - tile.y_begin) * places.kSlots;
    cover<lanes>(tile.x_end - tile.x_begin, [&](int64_t offset, int64_t begin, int64_t size) LATENTCORE_INLINED {
      const int64_t slot = slots + offset;
      C values[lanes];
      blend(box, places.index + slot, places.dx + slot, places.dy + slot, values);
      with_size<lanes>(size, [&](auto n) LATENTCORE_INLINED {
#pragma omp simd
        for (int64_t i = 0; i < n; ++i) result[begin + i] = to_result<T>(values[i]);
      });
    });
  }
}

}  // namespace
}  // namespace latentcore

#endif
