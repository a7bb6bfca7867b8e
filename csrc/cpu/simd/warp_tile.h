// A tile of the result of a warp. The part of the image that it reads, its box, is copied first, converted to the type
// of computation and with a ring of the fill value where it reaches beyond the image: no pixel needs a check then, and
// what is read lies close together, whatever the image's size.
#pragma once

#include "cpu/simd/warp_map.h"

#ifdef LATENTCORE_LEVEL

#include "cpu/simd/vector.h"

namespace latentcore {
namespace {

// Where in the box a row of pixels comes from: the upper left neighbour of each, and the place between neighbours.
template <class C>
struct Places {
  int32_t index[kTile];
  C dx[kTile], dy[kTile];
};

// One coordinate of a row's source points, split in whole steps, counted in integers, and the rest in the type K, so
// that float keeps its digits where the image is made much smaller.
template <class K>
struct Line {
  K start, step;
  int32_t origin, stride, last;  // `last`: the greatest index that has a neighbour in the box

  __attribute__((always_inline)) static inline Line of(double at, double step, int64_t origin, int64_t size) {
    const double base = floor(at), whole = __builtin_floor(step + 0.5);
    return {static_cast<K>(at - base), static_cast<K>(step - whole),
            static_cast<int32_t>(base - static_cast<double>(origin)), static_cast<int32_t>(whole),
            static_cast<int32_t>(size - 2)};
  }
  // The index of pixel k's neighbour, and in `rest` how far the point lies from it, in [0, 1]: points outside the box
  // come to its ring.
  template <class C>
  __attribute__((always_inline)) inline int32_t place(int32_t k, bool nearest, C& rest) const {
    const K x = start + step * static_cast<K>(k);
    const K whole = floor(x);
    const int32_t found = static_cast<int32_t>(whole) + origin + stride * k;
    const int32_t index = min(max(found, 0), last);
    const K distance = min(max(x - whole + static_cast<K>(found - index), K(0)), K(1));
    rest = static_cast<C>(nearest ? (distance >= K(0.5) ? K(1) : K(0)) : distance);
    return index;
  }
};

template <class K, class C>
LATENTCORE_FUNCTION void find_places(const Line<K>& x, const Line<K>& y, bool nearest, int64_t count, int32_t width,
                                     Places<C>& out) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    const auto k = static_cast<int32_t>(i);
    const int32_t column = x.place(k, nearest, out.dx[i]);
    out.index[i] = y.place(k, nearest, out.dy[i]) * width + column;
  }
}

// out[2 i], out[2 i + 1] = from[index[i]], from[index[i] + 1]: two neighbours are one number of twice the size.
template <class C>
LATENTCORE_FUNCTION void copy_pairs(const C* from, const int32_t* index, int64_t count, C* out) {
  for (int64_t i = 0; i < count; ++i) __builtin_memcpy(out + 2 * i, from + index[i], 2 * sizeof(C));
}

// The first and the second ones of kLanes<C> pairs.
template <class C>
LATENTCORE_FUNCTION void split_pairs(const C* pairs, Vector<C>& first, Vector<C>& second) {
  typename VectorOf<C>::mask even = {};
  LATENTCORE_UNROLL
  for (int l = 0; l < kLanes<C>; ++l) even[l] = 2 * l;
  const Vector<C> low = load_vector(pairs), high = load_vector(pairs + kLanes<C>);
  first = __builtin_shuffle(low, high, even);
  second = __builtin_shuffle(low, high, even + 1);
}

template <class C>
LATENTCORE_FUNCTION void blend_row(const C* box, const Places<C>& places, int64_t count, int64_t width, C* out) {
  C upper_pairs[2 * kTile], lower_pairs[2 * kTile];
  copy_pairs(box, places.index, count, upper_pairs);
  copy_pairs(box + width, places.index, count, lower_pairs);
  for (int64_t i = 0; i < count; i += kLanes<C>) {
    Vector<C> left_upper, right_upper, left_lower, right_lower;
    split_pairs(upper_pairs + 2 * i, left_upper, right_upper);
    split_pairs(lower_pairs + 2 * i, left_lower, right_lower);
    const Vector<C> dx = load_vector(places.dx + i), dy = load_vector(places.dy + i);
    // exact where the point lies on a pixel, at either end
    const Vector<C> upper = (C(1) - dx) * left_upper + dx * right_upper;
    const Vector<C> lower = (C(1) - dx) * left_lower + dx * right_lower;
    store_vector<C>((C(1) - dy) * upper + dy * lower, out + i);
  }
}

// Copies the box out of a plane of the image.
template <class In, class C>
LATENTCORE_FUNCTION void copy_box(const Plane<In, C>& plane, const Box& box, C* out) {
  for (int64_t y = box.y; y < box.y + box.height; ++y, out += box.width) {
    if (y < 0 || y >= plane.H) {
#pragma omp simd
      for (int64_t i = 0; i < box.width; ++i) out[i] = plane.fill;
      continue;
    }
    const In* row = plane.pixels + y * plane.W + box.x;
    const int64_t first = box.x < 0 ? 1 : 0, last = min(box.width, plane.W - box.x);
    if (first > 0) out[0] = plane.fill;
#pragma omp simd
    for (int64_t i = first; i < last; ++i) out[i] = plane.gain * static_cast<C>(load(row[i]));
    if (last < box.width) out[last] = plane.fill;
  }
}

// Where row `y` of a tile comes from.
template <class C>
LATENTCORE_FUNCTION void find_row(const double* matrix, const WarpShape& s, const Tile& tile, const Box& box, int64_t y,
                                  int64_t count, Places<C>& out) {
  using K = std::conditional_t<std::is_same_v<C, double>, double, float>;
  const Row row = Row::of(matrix, y);
  const double x0 = row.x + row.dx * static_cast<double>(tile.x_begin);
  const double y0 = row.y + row.dy * static_cast<double>(tile.x_begin);
  const auto width = static_cast<int32_t>(box.width);
  if (s.nearest) {  // which of two pixels is nearer may hang on the last digit
    find_places(Line<double>::of(x0, row.dx, box.x, box.width), Line<double>::of(y0, row.dy, box.y, box.height), true,
                count, width, out);
  } else {
    find_places(Line<K>::of(x0, row.dx, box.x, box.width), Line<K>::of(y0, row.dy, box.y, box.height), false, count,
                width, out);
  }
}

// One tile of all channels, as many at once as have room for their boxes. `room` holds kBoxSize numbers.
template <class T, class In>
LATENTCORE_FUNCTION void warp_tile(const In* image, double gain, const double* matrix, const WarpShape& s,
                                   const Tile& tile, const Box& box, compute_t<T>* room, T* out) {
  using C = compute_t<T>;
  const int64_t width = tile.x_end - tile.x_begin, size = box.width * box.height;
  const int64_t rounded = (width + kLanes<C> - 1) / kLanes<C> * kLanes<C>;
  const int64_t group = max(kBoxSize / size, int64_t{1});
  for (int64_t first = 0; first < s.C; first += group) {
    const int64_t last = min(first + group, s.C);
    for (int64_t c = first; c < last; ++c) {
      const Plane<In, C> plane{image + c * s.H * s.W, s.H, s.W, static_cast<C>(gain), static_cast<C>(s.fill)};
      copy_box(plane, box, room + (c - first) * size);
    }
    for (int64_t y = tile.y_begin; y < tile.y_end; ++y) {
      Places<C> places;
      find_row(matrix, s, tile, box, y, rounded, places);
      for (int64_t c = first; c < last; ++c) {
        C values[kTile];
        blend_row(room + (c - first) * size, places, rounded, box.width, values);
        T* result = out + (c * s.H + y) * s.W + tile.x_begin;
#pragma omp simd
        for (int64_t i = 0; i < width; ++i) result[i] = to_result<T>(values[i]);
      }
    }
  }
}

}  // namespace
}  // namespace latentcore

#endif
