#pragma once

#include "cpu/simd/warp_backward.h"
#include "cpu/simd/warp_map.h"
#include "cpu/simd/warp_tile.h"

namespace latentcore {

// T is the result's type.
template <class T>
struct WarpLoops {
  // Rows [row_begin, row_end) of the result. The image is of type T, or uint8 where `bytes` is set, whose values are
  // multiplied by `gain`. `room` holds kBoxSize numbers.
  void (*forward)(const void* image, bool bytes, double gain, const double* matrix, WarpShape shape, int64_t row_begin,
                  int64_t row_end, compute_t<T>* room, T* out);
  // One plane (C = 1): adds to grad_image (in the type of computation) where it is not null, and writes the six
  // gradients of the matrix where those are not null.
  void (*backward)(const T* grad, const void* image, bool bytes, double gain, const double* matrix, WarpShape shape,
                   compute_t<T>* grad_image, double* grad_matrix);

  template <SimdLevel level>
  static WarpLoops at();
};

}  // namespace latentcore

#ifdef LATENTCORE_LEVEL

namespace latentcore {
namespace {

// Pixel by pixel with all checks: for maps that no box fits.
template <class T, class In>
LATENTCORE_FUNCTION void warp_checked(const In* image, double gain, const double* matrix, const WarpShape& s,
                                      const Tile& tile, T* out) {
  using C = compute_t<T>;
  for (int64_t c = 0; c < s.C; ++c) {
    const Plane<In, C> plane{image + c * s.H * s.W, s.H, s.W, static_cast<C>(gain), static_cast<C>(s.fill)};
    for (int64_t y = tile.y_begin; y < tile.y_end; ++y) {
      const Row row = Row::of(matrix, y);
      T* result = out + (c * s.H + y) * s.W;
      for (int64_t x = tile.x_begin; x < tile.x_end; ++x) {
        result[x] = to_result<T>(sample(plane, cell_at(row, x, s), s.nearest));
      }
    }
  }
}

template <class T, class In>
LATENTCORE_FUNCTION void warp_rows(const In* image, double gain, const double* matrix, const WarpShape& s,
                                   int64_t row_begin, int64_t row_end, compute_t<T>* room, T* out) {
  const int64_t fitting = tile_side(matrix, s), side = fitting > 0 ? fitting : kTile;
  for (int64_t y = row_begin; y < row_end; y += side) {
    for (int64_t x = 0; x < s.W; x += side) {
      const Tile tile{x, min(x + side, s.W), y, min(y + side, row_end)};
      const Box box = fitting > 0 ? box_of(matrix, s, tile) : Box{};
      if (box.width > 0) {
        warp_tile(image, gain, matrix, s, tile, box, room, out);
      } else {
        warp_checked(image, gain, matrix, s, tile, out);
      }
    }
  }
}

template <class T>
void warp(const void* image, bool bytes, double gain, const double* matrix, WarpShape shape, int64_t row_begin,
          int64_t row_end, compute_t<T>* room, T* out) {
  if (bytes) {
    warp_rows(static_cast<const uint8_t*>(image), gain, matrix, shape, row_begin, row_end, room, out);
  } else {
    warp_rows(static_cast<const T*>(image), gain, matrix, shape, row_begin, row_end, room, out);
  }
}

}  // namespace

LATENTCORE_LOOPS(WarpLoops, &warp<T>, &warp_backward<T>)
template WarpLoops<uint8_t> WarpLoops<uint8_t>::at<SimdLevel::LATENTCORE_LEVEL>();

}  // namespace latentcore

#endif
