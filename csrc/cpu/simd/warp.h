#pragma once

#include "cpu/simd/warp_backward.h"
#include "cpu/simd/warp_box.h"
#include "cpu/simd/warp_map.h"
#include "cpu/simd/warp_tile.h"

namespace latentcore {

// T is the result's type.
template <class T>
struct WarpLoops {
  // Rows [row_begin, row_end) of the results of `maps` matrices, which follow each other. The image is of type T, or
  // uint8 where `bytes` is set, whose values are multiplied by `gain`. `room` holds kWarpRoom numbers.
  void (*forward)(const void* image, bool bytes, double gain, const double* matrices, int64_t maps, WarpShape shape,
                  int64_t row_begin, int64_t row_end, compute_t<T>* room, T* out);
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
    const auto plane = Plane<In, C>::of(image, gain, s, c);
    for (int64_t y = tile.y_begin; y < tile.y_end; ++y) {
      const Row row = Row::of(matrix, y);
      T* result = out + (c * s.H + y) * s.W;
      for (int64_t x = tile.x_begin; x < tile.x_end; ++x) {
        result[x] = to_result<T>(sample(plane, cell_at(row, x, s), s.nearest));
      }
    }
  }
}

// An image by one map, tile by tile.
template <class T, class In>
LATENTCORE_FUNCTION void warp_rows(const In* image, double gain, const double* matrix, const WarpShape& s,
                                   int64_t row_begin, int64_t row_end, compute_t<T>* room, T* out) {
  using C = compute_t<T>;
  const int64_t fitting = tile_side(matrix), side = fitting > 0 ? fitting : kTile;
  for (int64_t y = row_begin; y < row_end; y += side) {
    for (int64_t x = 0; x < s.W; x += side) {
      const Tile tile{x, min(x + side, s.W), y, min(y + side, row_end)};
      const Box box = fitting > 0 ? box_of(matrix, s, tile) : Box{};
      if (box.width == 0) {
        warp_checked(image, gain, matrix, s, tile, out);
        continue;
      }
      for (int64_t c = 0; c < s.C; ++c) prefetch_box(Plane<In, C>::of(image, gain, s, c), box);
      Places<C> places;
      find_places(matrix, s.nearest, tile, box, places);
      for (int64_t c = 0; c < s.C; ++c) {
        copy_box(Plane<In, C>::of(image, gain, s, c), box, room);
        sample_tile(room, places, tile, s.W, out + c * s.H * s.W);
      }
    }
  }
}

// A small image by many maps: it is copied once.
template <class T, class In>
LATENTCORE_FUNCTION void warp_whole(const In* image, double gain, const double* matrices, int64_t maps,
                                    const WarpShape& s, compute_t<T>* room, T* out) {
  using C = compute_t<T>;
  const Tile tile{0, s.W, 0, s.H};
  const Box box{-1, -1, s.W + 2, s.H + 2};
  const int64_t size = box.width * box.height;
  for (int64_t c = 0; c < s.C; ++c) copy_box(Plane<In, C>::of(image, gain, s, c), box, room + 2 * c * size);
  prefetch(image + s.C * s.H * s.W, s.C * s.H * s.W);  // the next one
  for (int64_t a = 0; a < maps; ++a, out += s.C * s.H * s.W) {
    const double* matrix = matrices + 6 * a;
    if (tile_side(matrix) < max(s.H, s.W) || box_of(matrix, s, tile).width == 0) {
      warp_checked(image, gain, matrix, s, tile, out);
      continue;
    }
    Places<C> places;
    find_places(matrix, s.nearest, tile, box, places);
    for (int64_t c = 0; c < s.C; ++c) {
      sample_tile(room + 2 * c * size, places, tile, s.W, out + c * s.H * s.W);
    }
  }
}

template <class T, class In>
LATENTCORE_FUNCTION void warp_image(const In* image, double gain, const double* matrices, int64_t maps,
                                    const WarpShape& s, int64_t row_begin, int64_t row_end, compute_t<T>* room,
                                    T* out) {
  if (max(s.H, s.W) <= kTile && s.C * (s.H + 2) * (s.W + 2) <= kBoxSize) {
    return warp_whole(image, gain, matrices, maps, s, room, out);
  }
  for (int64_t a = 0; a < maps; ++a) {
    warp_rows(image, gain, matrices + 6 * a, s, row_begin, row_end, room, out + a * s.C * s.H * s.W);
  }
}

template <class T>
void warp(const void* image, bool bytes, double gain, const double* matrices, int64_t maps, WarpShape shape,
          int64_t row_begin, int64_t row_end, compute_t<T>* room, T* out) {
  if (bytes) {
    warp_image(static_cast<const uint8_t*>(image), gain, matrices, maps, shape, row_begin, row_end, room, out);
  } else {
    warp_image(static_cast<const T*>(image), gain, matrices, maps, shape, row_begin, row_end, room, out);
  }
}

}  // namespace

LATENTCORE_LOOPS(WarpLoops, &warp<T>, &warp_backward<T>)
template WarpLoops<uint8_t> WarpLoops<uint8_t>::at<SimdLevel::LATENTCORE_LEVEL>();

}  // namespace latentcore

#endif
