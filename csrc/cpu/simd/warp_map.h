// How an affine map takes the pixels of a result to points of the image.
#pragma once

#include <limits>

#include "cpu/simd/levels.h"
#include "math/sampling.h"

namespace latentcore {

// Side of the largest tile of a result: the part of an image that it reads stays in the first-level cache.
constexpr int64_t kTile = 32;
// The longest side of such a part, on which float counts well, and its pixels.
constexpr int64_t kBoxSide = 256, kBoxSize = kBoxSide * kBoxSide;
// Numbers that a warp works in: pixels are copied in pairs, and the last ones as a whole register.
constexpr int64_t kWarpRoom = 2 * (kBoxSize + 16);

}  // namespace latentcore

#ifdef LATENTCORE_LEVEL

#include "cpu/simd/block.h"

namespace latentcore {
namespace {

// Pixels of the result.
struct Tile {
  int64_t x_begin, x_end, y_begin, y_end;
};

// Pixels of the image and of the ring of one pixel around it.
struct Box {
  int64_t x, y, width, height;
};

struct Span {
  int64_t begin, end;
};

// The x in [0, W) with low <= start + step * x <= high; empty where a bound is not a number.
LATENTCORE_FUNCTION Span solve(double start, double step, double low, double high, int64_t W) {
  const auto width = static_cast<double>(W);
  double first = 0, last = width - 1;
  // infinity - infinity and NaN - NaN are NaN: neither map has points
  if (!(step - step == 0 && start - start == 0)) return {0, 0};
  if (step != 0) {
    const double a = (low - start) / step, b = (high - start) / step;
    first = __builtin_ceil(a < b ? a : b);
    last = floor(a < b ? b : a);
  } else if (!(start >= low && start <= high)) {
    return {0, 0};
  }
  if (!(first <= last)) return {0, 0};
  first = max(first, 0.0);
  last = min(last, width - 1);
  return first <= last ? Span{static_cast<int64_t>(first), static_cast<int64_t>(last) + 1} : Span{0, 0};
}

LATENTCORE_FUNCTION Span intersect(Span a, Span b) {
  const Span both{max(a.begin, b.begin), min(a.end, b.end)};
  return both.begin < both.end ? both : Span{0, 0};
}

// The pixels of a row whose source lies inside the image or in the ring around it.
LATENTCORE_FUNCTION Span inside(const Row& row, const WarpShape& s) {
  return intersect(solve(row.x, row.dx, -1, static_cast<double>(s.W), s.W),
                   solve(row.y, row.dy, -1, static_cast<double>(s.H), s.W));
}

// The points from `low` to `high`, grown to pixels and cut to [-1, size].
LATENTCORE_FUNCTION Span pixels_between(double low, double high, int64_t size) {
  const auto end = static_cast<double>(size);
  const double first = min(max(floor(low), -1.0), end - 1), last = min(max(floor(high) + 1, 0.0), end);
  return {static_cast<int64_t>(first), static_cast<int64_t>(last) + 1};
}

// What a tile reads; nothing (a width of 0) where its points are not finite.
LATENTCORE_FUNCTION Box box_of(const double* m, const WarpShape& s, const Tile& tile) {
  const auto x0 = static_cast<double>(tile.x_begin), x1 = static_cast<double>(tile.x_end - 1);
  const auto y0 = static_cast<double>(tile.y_begin), y1 = static_cast<double>(tile.y_end - 1);
  double low[2], high[2];
  for (int i = 0; i < 2; ++i) {
    const double* row = m + 3 * i;
    const double ax = row[0] * x0, bx = row[0] * x1, ay = row[1] * y0, by = row[1] * y1;
    low[i] = min(ax, bx) + min(ay, by) + row[2];
    high[i] = max(ax, bx) + max(ay, by) + row[2];
    if (!(high[i] - low[i] < std::numeric_limits<double>::infinity())) return {};
  }
  const Span columns = pixels_between(low[0], high[0], s.W), rows = pixels_between(low[1], high[1], s.H);
  return {columns.begin, rows.begin, columns.end - columns.begin, rows.end - rows.begin};
}

// The side of tiles whose boxes fit, or 0 where the image is made too small for that.
LATENTCORE_FUNCTION int64_t tile_side(const double* m) {
  const double spread = max(abs(m[0]) + abs(m[1]), abs(m[3]) + abs(m[4]));
  for (int64_t side = kTile; side >= 8; side /= 2) {
    if (static_cast<double>(side) * spread + 3 <= static_cast<double>(kBoxSide)) return side;
  }
  return 0;
}

}  // namespace
}  // namespace latentcore

#endif
