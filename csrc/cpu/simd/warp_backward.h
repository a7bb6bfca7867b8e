// The gradients of a warp in the image and in the map.
#pragma once

#include "cpu/simd/warp_map.h"

#ifdef LATENTCORE_LEVEL

namespace latentcore {
namespace {

template <class C>
LATENTCORE_FUNCTION void scatter(C* grad_image, const WarpShape& s, int64_t iy, int64_t ix, C value) {
  if (ix >= 0 && ix < s.W && iy >= 0 && iy < s.H) grad_image[iy * s.W + ix] += value;
}

// A row of a cell, of which `g` is the share: a pixel of weight 0 gets nothing, not even NaN.
template <class C>
LATENTCORE_FUNCTION void scatter_row(C* grad_image, const WarpShape& s, int64_t iy, int64_t ix, C dx, C g) {
  scatter(grad_image, s, iy, ix, g * (C(1) - dx));
  if (dx != C(0)) scatter(grad_image, s, iy, ix + 1, g * dx);
}

template <class C>
LATENTCORE_FUNCTION void scatter_cell(C* grad_image, const WarpShape& s, const Cell& cell, C g) {
  if (s.nearest) return scatter(grad_image, s, cell.iy + (cell.dy >= 0.5), cell.ix + (cell.dx >= 0.5), g);
  const C dx = static_cast<C>(cell.dx), dy = static_cast<C>(cell.dy);
  scatter_row(grad_image, s, cell.iy, cell.ix, dx, g * (C(1) - dy));
  if (dy != C(0)) scatter_row(grad_image, s, cell.iy + 1, cell.ix, dx, g * dy);
}

// The gradient of one pixel by its source's coordinates, added to the six gradients of the matrix.
template <class In, class C>
LATENTCORE_FUNCTION void add_matrix_gradient(const Plane<In, C>& plane, const Cell& cell, double g, int64_t x,
                                             int64_t y, double* grad_matrix) {
  const Slopes slopes = slopes_at(plane, cell);
  const double by_x = g * slopes.x, by_y = g * slopes.y;
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
    const Span outer = inside(row, s);
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
}  // namespace latentcore

#endif
