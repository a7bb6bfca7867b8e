// A tile of the result of a warp. The part of the image that it reads, its box, is copied first, converted to the type
// of computation and with a ring of the fill value where it reaches beyond the image: no pixel needs a check then, and
// what is read lies close together, whatever the image's size.
#pragma once

#include "cpu/simd/warp_map.h"

#ifdef LATENTCORE_LEVEL

#include <immintrin.h>

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

// left[l] = from[index[l]], right[l] = from[index[l] + 1]: two neighbours are one load of twice the size.
template <class C>
LATENTCORE_FUNCTION void load_pairs(const C* from, const int32_t* index, Vector<C>& left, Vector<C>& right) {
  for (int l = 0; l < kLanes<C>; ++l) left[l] = from[index[l]];
  for (int l = 0; l < kLanes<C>; ++l) right[l] = from[index[l] + 1];
}

#if defined(__AVX512F__)
LATENTCORE_FUNCTION void load_pairs(const float* from, const int32_t* index, Vector<float>& left,
                                    Vector<float>& right) {
  Vector<float> pairs[2];
  for (int i = 0; i < 2; ++i) {
    const __m256i where = _mm256_loadu_si256(reinterpret_cast<const __m256i_u*>(index + 8 * i));
    pairs[i] = reinterpret_cast<Vector<float>>(_mm512_mask_i32gather_pd(_mm512_setzero_pd(), 0xff, where, from, 4));
  }
  const VectorOf<float>::mask even = {0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30};
  left = __builtin_shuffle(pairs[0], pairs[1], even);
  right = __builtin_shuffle(pairs[0], pairs[1], even + 1);
}
#elif defined(__AVX2__)
LATENTCORE_FUNCTION void load_pairs(const float* from, const int32_t* index, Vector<float>& left,
                                    Vector<float>& right) {
  Vector<float> pairs[2];
  for (int i = 0; i < 2; ++i) {
    const __m128i where = _mm_loadu_si128(reinterpret_cast<const __m128i_u*>(index + 4 * i));
    const __m256d all = reinterpret_cast<__m256d>(_mm256_set1_epi64x(-1));
    pairs[i] = reinterpret_cast<Vector<float>>(
        _mm256_mask_i32gather_pd(_mm256_setzero_pd(), reinterpret_cast<const double*>(from), where, all, 4));
  }
  const VectorOf<float>::mask even = {0, 2, 4, 6, 8, 10, 12, 14};
  left = __builtin_shuffle(pairs[0], pairs[1], even);
  right = __builtin_shuffle(pairs[0], pairs[1], even + 1);
}
#endif

template <class C>
LATENTCORE_FUNCTION void blend_row(const C* box, const Places<C>& places, int64_t count, int64_t width, C* out) {
  for (int64_t i = 0; i < count; i += kLanes<C>) {
    Vector<C> left_upper, right_upper, left_lower, right_lower;
    load_pairs(box, places.index + i, left_upper, right_upper);
    load_pairs(box + width, places.index + i, left_lower, right_lower);
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

// One tile of all channels. `room` holds a box.
template <class T, class In>
LATENTCORE_FUNCTION void warp_tile(const In* image, double gain, const double* matrix, const WarpShape& s,
                                   const Tile& tile, const Box& box, compute_t<T>* room, T* out) {
  using C = compute_t<T>;
  using K = std::conditional_t<std::is_same_v<C, double>, double, float>;
  const int64_t width = tile.x_end - tile.x_begin;
  const int64_t rounded = (width + kLanes<C> - 1) / kLanes<C> * kLanes<C>;
  for (int64_t c = 0; c < s.C; ++c) {
    copy_box(Plane<In, C>{image + c * s.H * s.W, s.H, s.W, static_cast<C>(gain), static_cast<C>(s.fill)}, box, room);
    for (int64_t y = tile.y_begin; y < tile.y_end; ++y) {
      const Row row = Row::of(matrix, y);
      const double x = row.x + row.dx * static_cast<double>(tile.x_begin);
      const double yy = row.y + row.dy * static_cast<double>(tile.x_begin);
      Places<C> places;
      const auto box_width = static_cast<int32_t>(box.width);
      if (s.nearest) {  // which of two pixels is nearer may hang on the last digit
        find_places(Line<double>::of(x, row.dx, box.x, box.width), Line<double>::of(yy, row.dy, box.y, box.height),
                    true, rounded, box_width, places);
      } else {
        find_places(Line<K>::of(x, row.dx, box.x, box.width), Line<K>::of(yy, row.dy, box.y, box.height), false,
                    rounded, box_width, places);
      }
      C values[kTile];
      blend_row(room, places, rounded, box.width, values);
      T* result = out + (c * s.H + y) * s.W + tile.x_begin;
#pragma omp simd
      for (int64_t i = 0; i < width; ++i) result[i] = to_result<T>(values[i]);
    }
  }
}

}  // namespace
}  // namespace latentcore

#endif
