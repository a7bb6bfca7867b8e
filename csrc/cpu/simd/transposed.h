// Rows of samples to and from rows of features, so that loops run over samples.
#pragma once

#include "cpu/simd/levels.h"

#ifdef LATENTCORE_LEVEL

#include "cpu/simd/block.h"
#include "cpu/simd/vector.h"

namespace latentcore {
namespace {

// `count` samples, filled up to whole registers
template <class C>
LATENTCORE_FUNCTION int64_t rounded_up(int64_t count) {
  return (count + kLanes<C> - 1) / kLanes<C> * kLanes<C>;
}

// Calls square(s, j) for the squares of a register's side in a matrix of `count` samples and `columns` numbers for
// each, and strip(s_begin, s_end, j_begin, j_end) for the two strips that are left.
template <class C, class Square, class Strip>
LATENTCORE_FUNCTION void for_squares(int64_t count, int64_t columns, Square square, Strip strip) {
  constexpr int64_t lanes = kLanes<C>;
  const int64_t whole_count = count / lanes * lanes, whole_columns = columns / lanes * lanes;
  for (int64_t s = 0; s < whole_count; s += lanes) {
    for (int64_t j = 0; j < whole_columns; j += lanes) square(s, j);
  }
  strip(0, whole_count, whole_columns, columns);
  strip(whole_count, count, 0, columns);
}

// out (columns, stride) = source (count, columns) transposed, filled up with zeros
template <class T>
LATENTCORE_FUNCTION void load_transposed(const T* source, int64_t count, int64_t columns, int64_t stride,
                                         compute_t<T>* out) {
  using C = compute_t<T>;
  for_squares<C>(
      count, columns,
      [&](int64_t s, int64_t j) {
        C row[kLanes<C>];
        Vector<C> rows[kLanes<C>];
        LATENTCORE_UNROLL
        for (int64_t i = 0; i < kLanes<C>; ++i) {
          load_block(source + (s + i) * columns + j, kLanes<C>, row);
          rows[i] = load_vector(row);
        }
        transpose<C>(rows);
        LATENTCORE_UNROLL
        for (int64_t i = 0; i < kLanes<C>; ++i) store_vector<C>(rows[i], out + (j + i) * stride + s);
      },
      [&](int64_t s_begin, int64_t s_end, int64_t j_begin, int64_t j_end) {
        for (int64_t j = j_begin; j < j_end; ++j) {
#pragma omp simd
          for (int64_t s = s_begin; s < s_end; ++s) out[j * stride + s] = load(source[s * columns + j]);
        }
      });
  for (int64_t j = 0; j < columns; ++j) {
    for (int64_t s = count; s < rounded_up<C>(count); ++s) out[j * stride + s] = 0;
  }
}

// out (count, columns) = source (columns, stride) transposed
template <class T>
LATENTCORE_FUNCTION void store_transposed(const compute_t<T>* source, int64_t count, int64_t columns, int64_t stride,
                                          T* out) {
  using C = compute_t<T>;
  for_squares<C>(
      count, columns,
      [&](int64_t s, int64_t j) {
        C row[kLanes<C>];
        Vector<C> rows[kLanes<C>];
        LATENTCORE_UNROLL
        for (int64_t i = 0; i < kLanes<C>; ++i) rows[i] = load_vector(source + (j + i) * stride + s);
        transpose<C>(rows);
        LATENTCORE_UNROLL
        for (int64_t i = 0; i < kLanes<C>; ++i) {
          store_vector<C>(rows[i], row);
          store_block(row, kLanes<C>, out + (s + i) * columns + j);
        }
      },
      [&](int64_t s_begin, int64_t s_end, int64_t j_begin, int64_t j_end) {
        for (int64_t j = j_begin; j < j_end; ++j) {
#pragma omp simd
          for (int64_t s = s_begin; s < s_end; ++s) out[s * columns + j] = store<T>(source[j * stride + s]);
        }
      });
}

}  // namespace
}  // namespace latentcore

#endif
