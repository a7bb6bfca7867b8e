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
