// The log densities of one block of samples; responsibilities, moments and gradients stand apart.
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

#include "cpu/simd/tiles.h"
#include "cpu/simd/transposed.h"
#include "cpu/simd/vector.h"

namespace latentcore {
namespace {

// Registers of samples that are handled at once.
constexpr int64_t kSampleTile = kAvx512 ? 4 : 2;

// body(s, Width<v>) for all samples, v registers of them at once; `count` is a multiple of a register.
template <class C, class Body>
LATENTCORE_FUNCTION void for_registers(int64_t count, Body body) {
  for_tiles<kSampleTile>(count / kLanes<C>, [&](int64_t at, auto constant) { body(at * kLanes<C>, constant); });
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

// joint[s] = offset - joint[s] / 2, added to `sums`: several, so that none has to wait for the one before it.
template <class C>
LATENTCORE_FUNCTION void add_offset(C offset, int64_t count, C* joint, Vector<C> (&sums)[kSampleTile]) {
  for_registers<C>(count, [&](int64_t s, auto samples) {
    LATENTCORE_UNROLL
    for (int64_t v = 0; v < decltype(samples)::width; ++v) {
      C* at = joint + s + v * kLanes<C>;
      const Vector<C> value = offset - C(0.5) * load_vector(at);
      store_vector<C>(value, at);
      sums[v] += value;
    }
  });
}

// Samples so far away that their squares are infinity less infinity, NaN, have density 0 under component k; NaN stays
// where a number that was handed in is NaN.
template <class C>
__attribute__((noinline, cold)) void settle_overflow(const Mixture<C>& mixture, int64_t k, int64_t count,
                                                     const MixtureWorkspace<C>& work) {
  const auto has_nan = [](const C* values, int64_t length, int64_t step) {
    for (int64_t i = 0; i < length; ++i) {
      if (values[i * step] != values[i * step]) return true;
    }
    return false;
  };
  const int64_t D = mixture.D, size = is_triangular(mixture.type) ? packed_size(D) : D;
  if (has_nan(mixture.means + k * D, D, 1) || has_nan(mixture.columns + k * mixture.stride, size, 1)) return;
  C* joint = work.joint + k * work.size;
  for (int64_t s = 0; s < count; ++s) {
    if (joint[s] == joint[s] || has_nan(work.x + s, D, work.size)) continue;
    joint[s] = mixture.offsets[k] - std::numeric_limits<C>::infinity();
  }
}

// joint[k][s] = log density of sample s under component k, plus the log weight where the offsets hold one
template <class C>
LATENTCORE_FUNCTION void log_densities(const Mixture<C>& mixture, int64_t count, const MixtureWorkspace<C>& work) {
  Vector<C> sums[kSampleTile] = {};
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
    add_offset(mixture.offsets[k], count, joint, sums);
  }
  C totals[kSampleTile], total = 0;
  sum_lanes<C, kSampleTile>(sums, totals);
  for (const C part : totals) total += part;
  if (total == total) return;
  for (int64_t k = 0; k < mixture.K; ++k) settle_overflow(mixture, k, count, work);
}

}  // namespace
}  // namespace latentcore

#endif
