#pragma once

#include "cpu/simd/levels.h"

namespace latentcore {

// One image (C, H, W), sampled at matrix * (x, y, 1) for every output pixel (x, y). Outside the image everything has
// the value `fill`, and so have points that are not finite.
struct WarpShape {
  int64_t C, H, W;
  bool nearest;
  double fill;
};

// T is the result's type.
template <class T>
struct WarpLoops {
  // Rows [row_begin, row_end) of the result. The image is of type T, or uint8 where `bytes` is set, whose values are
  // multiplied by `gain`.
  void (*forward)(const void* image, bool bytes, double gain, const double* matrix, WarpShape shape, int64_t row_begin,
                  int64_t row_end, T* out);
  // One plane (C = 1): adds to grad_image (in the type of computation) where it is not null, and writes the six
  // gradients of the matrix where those are not null.
  void (*backward)(const T* grad, const void* image, bool bytes, double gain, const double* matrix, WarpShape shape,
                   compute_t<T>* grad_image, double* grad_matrix);

  template <SimdLevel level>
  static WarpLoops at();
};

}  // namespace latentcore

#ifdef LATENTCORE_LEVEL

#include "cpu/simd/block.h"
#include "math/sampling.h"

namespace latentcore {
namespace {

// Coordinates start again from double after so many pixels, so that float loses no digits on wide images.
constexpr int64_t kSegment = 64;

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
    last = __builtin_floor(a < b ? b : a);
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

// One row of the result: where its pixels come from.
struct Row {
  double x, y, dx, dy;  // source of pixel 0, and the step from pixel to pixel

  __attribute__((always_inline)) static inline Row of(const double* m, int64_t row) {
    const auto r = static_cast<double>(row);
    return {m[1] * r + m[2], m[4] * r + m[5], m[0], m[3]};
  }
  // Pixels whose source lies inside the image grown by `margin` on every side.
  __attribute__((always_inline)) inline Span inside(const WarpShape& s, double margin) const {
    return intersect(solve(x, dx, -margin, static_cast<double>(s.W - 1) + margin, s.W),
                     solve(y, dy, -margin, static_cast<double>(s.H - 1) + margin, s.W));
  }
};

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
  const double fx = __builtin_floor(px), fy = __builtin_floor(py);
  return {static_cast<int64_t>(fx), static_cast<int64_t>(fy), px - fx, py - fy, true};
}

// A plane of the image; pixels outside have the value `fill`.
template <class In, class C>
struct Plane {
  const In* pixels;
  int64_t H, W;
  C gain, fill;

  __attribute__((always_inline)) inline C at(int64_t iy, int64_t ix) const {
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

// One pixel, with bounds checked.
template <class In, class C>
LATENTCORE_FUNCTION C sample(const Plane<In, C>& plane, const Cell& cell, bool nearest) {
  if (!cell.valid) return plane.fill;
  if (nearest) return plane.at(cell.iy + (cell.dy >= 0.5), cell.ix + (cell.dx >= 0.5));
  return bilinear(plane.at(cell.iy, cell.ix), plane.at(cell.iy, cell.ix + 1), plane.at(cell.iy + 1, cell.ix),
                  plane.at(cell.iy + 1, cell.ix + 1), static_cast<C>(cell.dx), static_cast<C>(cell.dy));
}

// Pixels whose four neighbours are all inside: no checks, and the coordinates of a segment in the type of computation,
// counted from the segment's first source pixel. The whole part of a step is counted in integers, so that float keeps
// its digits where the image is made much smaller.
template <class T, class In, class C>
LATENTCORE_FUNCTION void inner_segment(const In* image, C gain, const Row& row, const WarpShape& s, int64_t begin,
                                       int64_t size, int64_t y, T* out) {
  const double px = row.x + row.dx * static_cast<double>(begin), py = row.y + row.dy * static_cast<double>(begin);
  const double base_x = __builtin_floor(px), base_y = __builtin_floor(py);
  const C start_x = static_cast<C>(px - base_x), start_y = static_cast<C>(py - base_y);
  const double whole_x = __builtin_floor(row.dx + 0.5), whole_y = __builtin_floor(row.dy + 0.5);
  const C step_x = static_cast<C>(row.dx - whole_x), step_y = static_cast<C>(row.dy - whole_y);
  const auto stride_x = static_cast<int32_t>(whole_x), stride_y = static_cast<int32_t>(whole_y);
  const auto origin_x = static_cast<int32_t>(base_x), origin_y = static_cast<int32_t>(base_y);
  const auto last_x = static_cast<int32_t>(s.W - 2), last_y = static_cast<int32_t>(s.H - 2);
  C dx[kSegment], dy[kSegment];
  int32_t ix[kSegment], iy[kSegment];
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) {
    const auto k = static_cast<int32_t>(i);
    const C x = start_x + step_x * static_cast<C>(k);
    const C yy = start_y + step_y * static_cast<C>(k);
    const int32_t from_x = origin_x + stride_x * k, from_y = origin_y + stride_y * k;
    // rounding may carry a point of the border over it: the indices are held inside, the weights follow
    ix[i] = min(max(static_cast<int32_t>(__builtin_floor(x)) + from_x, 0), last_x);
    iy[i] = min(max(static_cast<int32_t>(__builtin_floor(yy)) + from_y, 0), last_y);
    dx[i] = x - static_cast<C>(ix[i] - from_x);
    dy[i] = yy - static_cast<C>(iy[i] - from_y);
  }
  for (int64_t c = 0; c < s.C; ++c) {
    const In* plane = image + c * s.H * s.W;
    T* result = out + (c * s.H + y) * s.W + begin;
#pragma omp simd
    for (int64_t i = 0; i < size; ++i) {
      const In* corner = plane + iy[i] * s.W + ix[i];
      const C value = bilinear(static_cast<C>(load(corner[0])), static_cast<C>(load(corner[1])),
                               static_cast<C>(load(corner[s.W])), static_cast<C>(load(corner[s.W + 1])), dx[i], dy[i]);
      result[i] = to_result<T>(gain * value);
    }
  }
}

template <class T, class In>
void warp_rows(const In* image, double gain, const double* matrix, const WarpShape& s, int64_t row_begin,
               int64_t row_end, T* out) {
  using C = compute_t<T>;
  const T outside = to_result<T>(static_cast<C>(s.fill));
  for (int64_t y = row_begin; y < row_end; ++y) {
    const Row row = Row::of(matrix, y);
    const Span outer = row.inside(s, 1.0);
    // the unchecked way counts in 32 bits; so large a step leaves few pixels inside, if any
    const bool checked = s.nearest || s.W < 2 || s.H < 2 || abs(row.dx) > 1e8 || abs(row.dy) > 1e8;
    const Span inner = checked ? Span{0, 0} : intersect(row.inside(s, 0.0), outer);
    // where nothing is inside, the checked pixels reach from end to end
    const Span unchecked = inner.begin < inner.end ? inner : Span{outer.end, outer.end};
    for (int64_t c = 0; c < s.C; ++c) {
      T* result = out + (c * s.H + y) * s.W;
      const Plane<In, C> plane{image + c * s.H * s.W, s.H, s.W, static_cast<C>(gain), static_cast<C>(s.fill)};
      for (int64_t x = 0; x < outer.begin; ++x) result[x] = outside;
      for (int64_t x = outer.begin; x < unchecked.begin; ++x) {
        result[x] = to_result<T>(sample(plane, cell_at(row, x, s), s.nearest));
      }
      for (int64_t x = unchecked.end; x < outer.end; ++x) {
        result[x] = to_result<T>(sample(plane, cell_at(row, x, s), s.nearest));
      }
      for (int64_t x = outer.end; x < s.W; ++x) result[x] = outside;
    }
    for (int64_t x = unchecked.begin; x < unchecked.end; x += kSegment) {
      inner_segment(image, static_cast<C>(gain), row, s, x, min(kSegment, unchecked.end - x), y, out);
    }
  }
}

template <class T>
void warp(const void* image, bool bytes, double gain, const double* matrix, WarpShape shape, int64_t row_begin,
          int64_t row_end, T* out) {
  if (bytes) {
    warp_rows(static_cast<const uint8_t*>(image), gain, matrix, shape, row_begin, row_end, out);
  } else {
    warp_rows(static_cast<const T*>(image), gain, matrix, shape, row_begin, row_end, out);
  }
}

template <class C>
LATENTCORE_FUNCTION void scatter(C* grad_image, const WarpShape& s, int64_t iy, int64_t ix, C value) {
  if (ix >= 0 && ix < s.W && iy >= 0 && iy < s.H) grad_image[iy * s.W + ix] += value;
}

template <class C>
LATENTCORE_FUNCTION void scatter_cell(C* grad_image, const WarpShape& s, const Cell& cell, C g) {
  if (s.nearest) return scatter(grad_image, s, cell.iy + (cell.dy >= 0.5), cell.ix + (cell.dx >= 0.5), g);
  const C dx = static_cast<C>(cell.dx), dy = static_cast<C>(cell.dy);
  scatter(grad_image, s, cell.iy, cell.ix, g * (C(1) - dx) * (C(1) - dy));
  scatter(grad_image, s, cell.iy, cell.ix + 1, g * dx * (C(1) - dy));
  scatter(grad_image, s, cell.iy + 1, cell.ix, g * (C(1) - dx) * dy);
  scatter(grad_image, s, cell.iy + 1, cell.ix + 1, g * dx * dy);
}

// The gradient of one pixel by its source's coordinates, added to the six gradients of the matrix.
template <class In, class C>
LATENTCORE_FUNCTION void add_matrix_gradient(const Plane<In, C>& plane, const Cell& cell, double g, int64_t x,
                                             int64_t y, double* grad_matrix) {
  const double a = plane.at(cell.iy, cell.ix), b = plane.at(cell.iy, cell.ix + 1);
  const double c = plane.at(cell.iy + 1, cell.ix), d = plane.at(cell.iy + 1, cell.ix + 1);
  const double by_x = g * ((b - a) * (1 - cell.dy) + (d - c) * cell.dy);
  const double by_y = g * ((c - a) * (1 - cell.dx) + (d - b) * cell.dx);
  const auto column = static_cast<double>(x), line = static_cast<double>(y);
  grad_matrix[0] += by_x * column;
  grad_matrix[1] += by_x * line;
  grad_matrix[2] += by_x;
  grad_matrix[3] += by_y * column;
  grad_matrix[4] += by_y * line;
  grad_matrix[5] += by_y;
}

template <class T, class In>
void warp_backward_plane(const T* grad, const In* image, double gain, const double* matrix, const WarpShape& s,
                         compute_t<T>* grad_image, double* grad_matrix) {
  using C = compute_t<T>;
  const Plane<In, C> plane{image, s.H, s.W, static_cast<C>(gain), static_cast<C>(s.fill)};
  for (int64_t y = 0; y < s.H; ++y) {
    const Row row = Row::of(matrix, y);
    const Span outer = row.inside(s, 1.0);
    for (int64_t x = outer.begin; x < outer.end; ++x) {
      const Cell cell = cell_at(row, x, s);
      if (!cell.valid) continue;
      const C g = static_cast<C>(load(grad[y * s.W + x]));
      if (grad_image != nullptr) scatter_cell(grad_image, s, cell, g);
      if (grad_matrix != nullptr && !s.nearest)
        add_matrix_gradient(plane, cell, static_cast<double>(g), x, y, grad_matrix);
    }
  }
}

template <class T>
void warp_backward(const T* grad, const void* image, bool bytes, double gain, const double* matrix, WarpShape shape,
                   compute_t<T>* grad_image, double* grad_matrix) {
  if (bytes) {
    warp_backward_plane(grad, static_cast<const uint8_t*>(image), gain, matrix, shape, grad_image, grad_matrix);
  } else {
    warp_backward_plane(grad, static_cast<const T*>(image), gain, matrix, shape, grad_image, grad_matrix);
  }
}

}  // namespace

LATENTCORE_LOOPS(WarpLoops, &warp<T>, &warp_backward<T>)
template WarpLoops<uint8_t> WarpLoops<uint8_t>::at<SimdLevel::LATENTCORE_LEVEL>();

}  // namespace latentcore

#endif
