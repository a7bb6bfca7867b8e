// Sampling of an image at the points where an affine map takes the pixels of the result.
#pragma once

#include "math/elementary.h"

namespace latentcore {

// One image (C, H, W), sampled at matrix * (x, y, 1) for every output pixel (x, y). Outside the image everything has
// the value `fill`, and so have points that are not finite.
struct WarpShape {
  int64_t C, H, W;
  bool nearest;
  double fill;
};

// One row of the result: where its pixels come from.
struct Row {
  double x, y, dx, dy;  // source of pixel 0, and the step from pixel to pixel

  LATENTCORE_MEMBER static Row of(const double* m, int64_t row) {
    const auto r = static_cast<double>(row);
    return {m[1] * r + m[2], m[4] * r + m[5], m[0], m[3]};
  }
};

// A point between two pixels, at `d` in [0, 1]. A pixel of weight 0 is not used: it may be missing, which is NaN.
template <class T>
LATENTCORE_FUNCTION T between(T a, T b, T d) {
  const T blend = (T(1) - d) * a + d * b;
  return d == T(0) ? a : (d == T(1) ? b : blend);
}

// The four pixels around the point, and how far the point lies from the left upper one, in [0, 1].
template <class T>
LATENTCORE_FUNCTION T bilinear(T left_upper, T right_upper, T left_lower, T right_lower, T dx, T dy) {
  return between(between(left_upper, right_upper, dx), between(left_lower, right_lower, dx), dy);
}

// The pixels around a source point, by index, with the point's place between them; none for points outside.
struct Cell {
  int64_t ix, iy;
  double dx, dy;
  bool valid;
};

LATENTCORE_FUNCTION Cell cell_at(const Row& row, int64_t x, const WarpShape& s) {
  const double px = row.x + row.dx * static_cast<double>(x), py = row.y + row.dy * static_cast<double>(x);
  // written so that NaN is outside
  const bool valid = px > -1 && px < static_cast<double>(s.W) && py > -1 && py < static_cast<double>(s.H);
  if (!valid) return {0, 0, 0, 0, false};
  const double fx = floor(px), fy = floor(py);
  return {static_cast<int64_t>(fx), static_cast<int64_t>(fy), px - fx, py - fy, true};
}

// A plane of the image; pixels outside have the value `fill`.
template <class In, class C>
struct Plane {
  const In* pixels;
  int64_t H, W;
  C gain, fill;

  // Channel `c` of an image.
  LATENTCORE_MEMBER static Plane of(const In* image, double gain, const WarpShape& s, int64_t c) {
    return {image + c * s.H * s.W, s.H, s.W, static_cast<C>(gain), static_cast<C>(s.fill)};
  }
  LATENTCORE_MEMBER C at(int64_t iy, int64_t ix) const {
    const bool inside = ix >= 0 && ix < W && iy >= 0 && iy < H;
    return inside ? gain * static_cast<C>(load(pixels[iy * W + ix])) : fill;
  }
};

template <class T>
LATENTCORE_FUNCTION T to_result(compute_t<T> value) {
  if constexpr (std::is_same_v<T, uint8_t>) {
    return static_cast<uint8_t>(min(max(value + 0.5f, 0.0f), 255.0f));
  } else {
    return store<T>(value);
  }
}

// How the blend of two pixels changes with the point between them: not at all where one is missing.
LATENTCORE_FUNCTION double slope_between(double a, double b) {
  const double change = b - a;
  return change - change == 0 ? change : 0;
}

// How a sample changes with the place of its point.
struct Slopes {
  double x, y;
};

template <class In, class C>
LATENTCORE_FUNCTION Slopes slopes_at(const Plane<In, C>& plane, const Cell& cell) {
  const double a = plane.at(cell.iy, cell.ix), b = plane.at(cell.iy, cell.ix + 1);
  const double c = plane.at(cell.iy + 1, cell.ix), d = plane.at(cell.iy + 1, cell.ix + 1);
  return {(1 - cell.dy) * slope_between(a, b) + cell.dy * slope_between(c, d),
          slope_between(between(a, b, cell.dx), between(c, d, cell.dx))};
}

// One pixel, with bounds checked.
template <class In, class C>
LATENTCORE_FUNCTION C sample(const Plane<In, C>& plane, const Cell& cell, bool nearest) {
  if (!cell.valid) return plane.fill;
  if (nearest) return plane.at(cell.iy + (cell.dy >= 0.5), cell.ix + (cell.dx >= 0.5));
  return bilinear(plane.at(cell.iy, cell.ix), plane.at(cell.iy, cell.ix + 1), plane.at(cell.iy + 1, cell.ix),
                  plane.at(cell.iy + 1, cell.ix + 1), static_cast<C>(cell.dx), static_cast<C>(cell.dy));
}

}  // namespace latentcore
