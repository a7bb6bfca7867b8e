// The steps of the mixture operators on one block of samples, their moments apart.
#pragma once

#include "cpu/simd/levels.h"
#include "math/mixture.h"

namespace latentcore {

// One mixture in the type of computation.
template <class C>
struct Mixture {
  CovarianceType type;
  int64_t K, D;
  const C* means;    // (K, D)
  const C* columns;  // triangular: P, packed by tiles of columns; else (K, D), the diagonal of P
  const C* rows;     // triangular: P, packed by tiles of rows
  int64_t stride;    // from one component's triangle to the next; 0 for tied
  const C* offsets;  // (K), the log density at the mean, plus the log weight where there is one
};

// Room for one block of samples; a block holds at most `size` of them, transposed so that loops run over samples. It is
// filled up with zeros to whole registers, and the samples that are not there have the scale 0.
template <class C>
struct MixtureWorkspace {
  int64_t size;
  C* x;           // (D, size)
  C* difference;  // (D, size), x - mu_k
  C* whitened;    // (D, size), P_k^T (x - mu_k), or differences times responsibilities
  C* score;       // (D, size)
  C* joint;       // (K, size), log densities, then exponentials, then responsibilities
  C* norm;        // (size)
  C* scale;       // (size)
};

// Dimensions up to which the loops over features are unrolled and everything of a sample stays in registers.
constexpr int64_t kSmallD = 4;

}  // namespace latentcore

#ifdef LATENTCORE_LEVEL

#include "cpu/simd/block.h"
#include "cpu/simd/tiles.h"
#include "cpu/simd/vector.h"

namespace latentcore {
namespace {

// Registers of samples that are handled at once.
constexpr int64_t kSampleTile = kAvx512 ? 4 : 2;

// `count` samples, filled up to whole registers
template <class C>
LATENTCORE_FUNCTION int64_t rounded_up(int64_t count) {
  return (count + kLanes<C> - 1) / kLanes<C> * kLanes<C>;
}

// body(s, Width<v>) for all samples, v registers of them at once; `count` is a multiple of a register.
template <class C, class Body>
LATENTCORE_FUNCTION void for_registers(int64_t count, Body body) {
  for_tiles<kSampleTile>(count / kLanes<C>, [&](int64_t at, auto constant) { body(at * kLanes<C>, constant); });
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

template <class C>
LATENTCORE_FUNCTION void subtract_mean(const Mixture<C>& mixture, int64_t k, int64_t count,
                                       const MixtureWorkspace<C>& work) {
  for (int64_t i = 0; i < mixture.D; ++i) {
    const C mean = mixture.means[k * mixture.D + i];
    const C* x = work.x + i * work.size;
    C* difference = work.difference + i * work.size;
#pragma omp simd
    for (int64_t s = 0; s < count; ++s) difference[s] = x[s] - mean;
  }
}

// out[c][v] = sum_i factor[i][c] in[i][v] over `length` rows of `in`
template <int64_t width, int64_t vectors, class C>
LATENTCORE_FUNCTION void multiply(const C* factor, const C* in, int64_t length, int64_t stride,
                                  Vector<C> (&out)[width][vectors]) {
  for (int64_t i = 0; i < length; ++i, in += stride, factor += width) {
    LATENTCORE_UNROLL
    for (int64_t v = 0; v < vectors; ++v) {
      const Vector<C> row = load_vector(in + v * kLanes<C>);
      LATENTCORE_UNROLL
      for (int64_t c = 0; c < width; ++c) out[c][v] += factor[c] * row;
    }
  }
}

// squares[s] = |P_k^T (x - mu_k)|^2 for a triangular factor and x - mu_k in work.difference; `keep` leaves
// P_k^T (x - mu_k) in work.whitened.
template <bool keep, class C>
LATENTCORE_FUNCTION void whiten(const Mixture<C>& mixture, int64_t k, int64_t count, const MixtureWorkspace<C>& work,
                                C* squares) {
  for_registers<C>(count, [&](int64_t s, auto samples) {
    constexpr int64_t vectors = decltype(samples)::width;
    const C* factor = mixture.columns + k * mixture.stride;
    Vector<C> square[vectors] = {};
    for_tiles<kTileWidth>(mixture.D, [&](int64_t j, auto columns) {
      constexpr int64_t width = decltype(columns)::width;
      Vector<C> y[width][vectors] = {};
      multiply<width, vectors>(factor, work.difference + s, j + width, work.size, y);
      factor += width * (j + width);
      LATENTCORE_UNROLL
      for (int64_t c = 0; c < width; ++c) {
        LATENTCORE_UNROLL
        for (int64_t v = 0; v < vectors; ++v) {
          square[v] += y[c][v] * y[c][v];
          if constexpr (keep) store_vector<C>(y[c][v], work.whitened + (j + c) * work.size + s + v * kLanes<C>);
        }
      }
    });
    LATENTCORE_UNROLL
    for (int64_t v = 0; v < vectors; ++v) store_vector<C>(square[v], squares + s + v * kLanes<C>);
  });
}

// squares[s] = |P_k^T (x - mu_k)|^2 for D <= kSmallD, all in registers
template <int64_t D, class C>
LATENTCORE_FUNCTION void small_squares(const Mixture<C>& mixture, int64_t k, int64_t count,
                                       const MixtureWorkspace<C>& work, C* squares) {
  const C* mean = mixture.means + k * D;
  for (int64_t s = 0; s < count; s += kLanes<C>) {
    const C* factor = mixture.columns + k * mixture.stride;
    Vector<C> difference[D], square = {};
    LATENTCORE_UNROLL
    for (int64_t i = 0; i < D; ++i) difference[i] = load_vector(work.x + i * work.size + s) - mean[i];
    for_tiles<kTileWidth>(D, [&](int64_t j, auto columns) {
      constexpr int64_t width = decltype(columns)::width;
      LATENTCORE_UNROLL
      for (int64_t c = 0; c < width; ++c) {
        Vector<C> y = {};
        LATENTCORE_UNROLL
        for (int64_t i = 0; i <= j + c; ++i) y += factor[i * width + c] * difference[i];
        square += y * y;
      }
      factor += width * (j + width);
    });
    store_vector<C>(square, squares + s);
  }
}

template <class C>
LATENTCORE_FUNCTION void diagonal_squares(const Mixture<C>& mixture, int64_t k, int64_t count,
                                          const MixtureWorkspace<C>& work, C* squares) {
  const C* mean = mixture.means + k * mixture.D;
  const C* factor = mixture.columns + k * mixture.D;
  for_registers<C>(count, [&](int64_t s, auto samples) {
    constexpr int64_t vectors = decltype(samples)::width;
    Vector<C> square[vectors] = {};
    for (int64_t i = 0; i < mixture.D; ++i) {
      LATENTCORE_UNROLL
      for (int64_t v = 0; v < vectors; ++v) {
        const Vector<C> y = (load_vector(work.x + i * work.size + s + v * kLanes<C>) - mean[i]) * factor[i];
        square[v] += y * y;
      }
    }
    LATENTCORE_UNROLL
    for (int64_t v = 0; v < vectors; ++v) store_vector<C>(square[v], squares + s + v * kLanes<C>);
  });
}

// Calls body(Width<D>) for 1 <= D <= kSmallD, or returns false.
template <class Body>
LATENTCORE_FUNCTION bool for_small(int64_t D, Body body) {
  switch (D) {
    case 1:
      return body(Width<1>{}), true;
    case 2:
      return body(Width<2>{}), true;
    case 3:
      return body(Width<3>{}), true;
    case 4:
      return body(Width<4>{}), true;
    default:
      return false;
  }
}

// joint[k][s] = log density of sample s under component k, plus the log weight where the offsets hold one
template <class C>
LATENTCORE_FUNCTION void log_densities(const Mixture<C>& mixture, int64_t count, const MixtureWorkspace<C>& work) {
  for (int64_t k = 0; k < mixture.K; ++k) {
    C* joint = work.joint + k * work.size;
    if (!is_triangular(mixture.type)) {
      diagonal_squares(mixture, k, count, work, joint);
    } else if (!for_small(mixture.D, [&](auto constant) {
                 small_squares<decltype(constant)::width>(mixture, k, count, work, joint);
               })) {
      subtract_mean(mixture, k, count, work);
      whiten<false>(mixture, k, count, work, joint);
    }
    const C offset = mixture.offsets[k];
#pragma omp simd
    for (int64_t s = 0; s < count; ++s) joint[s] = offset - C(0.5) * joint[s];
  }
}

// norm[s] = the greatest of joint[k][s], or 0 where all are -inf
template <class C>
LATENTCORE_FUNCTION void greatest_joint(int64_t K, int64_t count, const MixtureWorkspace<C>& work) {
  for_registers<C>(count, [&](int64_t s, auto samples) {
    constexpr int64_t vectors = decltype(samples)::width;
    Vector<C> greatest[vectors];
    LATENTCORE_UNROLL
    for (int64_t v = 0; v < vectors; ++v) greatest[v] = load_vector(work.joint + s + v * kLanes<C>);
    for (int64_t k = 1; k < K; ++k) {
      LATENTCORE_UNROLL
      for (int64_t v = 0; v < vectors; ++v) {
        const Vector<C> joint = load_vector(work.joint + k * work.size + s + v * kLanes<C>);
        greatest[v] = joint > greatest[v] ? joint : greatest[v];
      }
    }
    LATENTCORE_UNROLL
    for (int64_t v = 0; v < vectors; ++v) store_vector<C>(greatest[v], work.norm + s + v * kLanes<C>);
  });
#pragma omp simd
  for (int64_t s = 0; s < count; ++s) work.norm[s] = finite_or_zero(work.norm[s]);
}

// scale[s] = sum_k exp(joint[k][s] - norm[s]); `keep` leaves the exponentials in joint.
template <bool keep, class C>
LATENTCORE_FUNCTION void sum_exponentials(int64_t K, int64_t count, const MixtureWorkspace<C>& work) {
  for (int64_t k = 0; k < K; ++k) {
    C* joint = work.joint + k * work.size;
#pragma omp simd
    for (int64_t s = 0; s < count; ++s) {
      const C value = exp_nonpositive(joint[s] - work.norm[s]);
      work.scale[s] = k == 0 ? value : work.scale[s] + value;
      if (keep) joint[s] = value;
    }
  }
}

// joint becomes the log responsibilities, norm log sum_k exp(joint), which is -inf where no component reaches a sample.
template <class C>
LATENTCORE_FUNCTION void normalize(int64_t K, int64_t count, const MixtureWorkspace<C>& work) {
  greatest_joint(K, count, work);
  sum_exponentials<false>(K, count, work);
#pragma omp simd
  for (int64_t s = 0; s < count; ++s) work.norm[s] += log(work.scale[s]);
  for (int64_t k = 0; k < K; ++k) {
    C* joint = work.joint + k * work.size;
#pragma omp simd
    for (int64_t s = 0; s < count; ++s) joint[s] -= finite_or_zero(work.norm[s]);
  }
}

// A sample of weight 0 counts nowhere, whatever it is: it becomes 0.
template <class T, class C>
LATENTCORE_FUNCTION void clear_weightless(int64_t D, const T* sample_weight, int64_t begin, int64_t count,
                                          const MixtureWorkspace<C>& work) {
  if (sample_weight == nullptr) return;
  for (int64_t s = 0; s < count; ++s) {
    if (load(sample_weight[begin + s]) == C(0)) {
      for (int64_t i = 0; i < D; ++i) work.x[i * work.size + s] = 0;
    }
  }
}

// joint becomes the responsibilities, weighted; norm[s] = log sum_k exp(joint[k][s]), weighted.
template <class T, class C>
LATENTCORE_FUNCTION void responsibilities(int64_t K, const T* sample_weight, int64_t begin, int64_t count,
                                          const MixtureWorkspace<C>& work) {
  const int64_t rounded = rounded_up<C>(count);
  greatest_joint(K, rounded, work);
  sum_exponentials<true>(K, rounded, work);
#pragma omp simd
  for (int64_t s = 0; s < rounded; ++s) {
    const C sum = work.scale[s];
    work.norm[s] += log(sum);
    work.scale[s] = responsibility_scale(C(1), sum);
  }
  for (int64_t s = count; s < rounded; ++s) work.scale[s] = 0;
  if (sample_weight != nullptr) {
#pragma omp simd
    for (int64_t s = 0; s < count; ++s) {
      const C weight = load(sample_weight[begin + s]);
      work.scale[s] *= weight;
      // a sample of weight 0 counts nothing, even where its likelihood is 0
      work.norm[s] = weight == C(0) ? C(0) : weight * work.norm[s];
    }
  }
}

// Adds r d log N_k / dx = -r P_k P_k^T (x - mu_k) to work.score, for r = joint[k]; work.difference holds x - mu_k.
template <class C>
LATENTCORE_FUNCTION void add_score(const Mixture<C>& mixture, int64_t k, int64_t count,
                                   const MixtureWorkspace<C>& work) {
  const int64_t D = mixture.D, stride = work.size;
  const C* resp = work.joint + k * stride;
  if (!is_triangular(mixture.type)) {
    for (int64_t i = 0; i < D; ++i) {
      const C factor = mixture.columns[k * D + i];
      const C* difference = work.difference + i * stride;
      C* score = work.score + i * stride;
#pragma omp simd
      for (int64_t s = 0; s < count; ++s) score[s] -= resp[s] * (difference[s] * factor * factor);
    }
    return;
  }
  whiten<true>(mixture, k, count, work, work.norm);
  for_registers<C>(count, [&](int64_t s, auto samples) {
    constexpr int64_t vectors = decltype(samples)::width;
    const C* factor = mixture.rows + k * mixture.stride;
    for_tiles<kTileWidth>(D, [&](int64_t i, auto rows) {
      constexpr int64_t width = decltype(rows)::width;
      Vector<C> product[width][vectors] = {};
      multiply<width, vectors>(factor, work.whitened + i * stride + s, D - i, stride, product);
      factor += width * (D - i);
      for (int64_t c = 0; c < width; ++c) {
        for (int64_t v = 0; v < vectors; ++v) {
          C* score = work.score + (i + c) * stride + s + v * kLanes<C>;
          store_vector<C>(load_vector(score) - load_vector(resp + s + v * kLanes<C>) * product[c][v], score);
        }
      }
    });
  });
}

template <class C>
LATENTCORE_FUNCTION void scale_joint(int64_t k, int64_t count, const MixtureWorkspace<C>& work) {
  C* joint = work.joint + k * work.size;
#pragma omp simd
  for (int64_t s = 0; s < count; ++s) joint[s] *= work.scale[s];
}

template <class C>
LATENTCORE_FUNCTION void clear_score(int64_t D, int64_t count, const MixtureWorkspace<C>& work) {
  for (int64_t i = 0; i < D; ++i) {
    C* score = work.score + i * work.size;
#pragma omp simd
    for (int64_t s = 0; s < count; ++s) score[s] = 0;
  }
}

}  // namespace
}  // namespace latentcore

#endif
