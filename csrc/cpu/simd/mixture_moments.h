// The moments of one component over a block of samples. Sums over the block run in registers of the type of
// computation, sums over blocks in double.
#pragma once

#include "cpu/simd/mixture_block.h"

#ifdef LATENTCORE_LEVEL

namespace latentcore {
namespace {

// Rows of the second moment that are handled at once; with kTileWidth columns their sums fill half the registers.
constexpr int64_t kRowTile = kAvx512 ? 4 : 2;

// out[i] += the sum over the lanes of values[i]
template <class C, int64_t count>
LATENTCORE_FUNCTION void add_lanes(const Vector<C> (&values)[count], double* out) {
  C sums[count];
  sum_lanes<C, count>(values, sums);
  for (int64_t i = 0; i < count; ++i) out[i] += static_cast<double>(sums[i]);
}

// Where one component's sums stand.
struct Moments {
  double* n_k;
  double* first;
  double* second;  // its row-wise lower triangle, its diagonal, or one number

  template <class C>
  __attribute__((always_inline)) static inline Moments of(const Mixture<C>& mixture, int64_t k, double* sums) {
    const int64_t K = mixture.K, D = mixture.D;
    const bool full = mixture.type == CovarianceType::full, diag = mixture.type == CovarianceType::diag;
    const int64_t step = full ? D * (D + 1) / 2 : (diag ? D : (mixture.type == CovarianceType::spherical ? 1 : 0));
    return {sums + 1 + k, sums + 1 + K + k * D, sums + 1 + K + K * D + k * step};
  }
};

// All sums of a component in registers, for D <= kSmallD.
template <int64_t D, class C>
LATENTCORE_FUNCTION void add_small_moments(const Mixture<C>& mixture, int64_t k, int64_t count,
                                           const MixtureWorkspace<C>& work, const Moments& out) {
  const C* resp = work.joint + k * work.size;
  const C* mean = mixture.means + k * D;
  Vector<C> n_k = {}, first[D] = {}, second[D * (D + 1) / 2] = {};
  for (int64_t s = 0; s < count; s += kLanes<C>) {
    const Vector<C> r = load_vector(resp + s);
    Vector<C> difference[D];
    n_k += r;
    LATENTCORE_UNROLL
    for (int64_t i = 0; i < D; ++i) {
      difference[i] = load_vector(work.x + i * work.size + s) - mean[i];
      const Vector<C> weighted = r * difference[i];
      first[i] += weighted;
      LATENTCORE_UNROLL
      for (int64_t j = 0; j <= i; ++j) second[i * (i + 1) / 2 + j] += weighted * difference[j];
    }
  }
  Vector<C> all[1 + D + D * (D + 1) / 2] = {n_k};
  LATENTCORE_UNROLL
  for (int64_t i = 0; i < D; ++i) all[1 + i] = first[i];
  LATENTCORE_UNROLL
  for (int64_t i = 0; i < D * (D + 1) / 2; ++i) all[1 + D + i] = second[i];
  C sums[1 + D + D * (D + 1) / 2];
  sum_lanes<C, 1 + D + D*(D + 1) / 2>(all, sums);
  *out.n_k += static_cast<double>(sums[0]);
  for (int64_t i = 0; i < D; ++i) out.first[i] += static_cast<double>(sums[1 + i]);
  for (int64_t i = 0; i < D * (D + 1) / 2; ++i) out.second[i] += static_cast<double>(sums[1 + D + i]);
}

// work.whitened rows [0, rows) = r (x - mu_k) for the features from `i` on, with their first moments.
template <int64_t rows, class C>
LATENTCORE_FUNCTION void weigh(const C* resp, int64_t i, int64_t count, const MixtureWorkspace<C>& work,
                               double* first) {
  Vector<C> sums[rows] = {};
  for (int64_t s = 0; s < count; s += kLanes<C>) {
    const Vector<C> r = load_vector(resp + s);
    LATENTCORE_UNROLL
    for (int64_t a = 0; a < rows; ++a) {
      const Vector<C> weighted = r * load_vector(work.difference + (i + a) * work.size + s);
      store_vector<C>(weighted, work.whitened + a * work.size + s);
      sums[a] += weighted;
    }
  }
  add_lanes<C>(sums, first + i);
}

// The tile of the second moment with its upper left corner at (i, j), whose rows weigh() has left.
template <int64_t rows, int64_t columns, class C>
LATENTCORE_FUNCTION void add_tile(int64_t i, int64_t j, int64_t count, const MixtureWorkspace<C>& work,
                                  double* second) {
  Vector<C> products[rows * columns] = {};
  for (int64_t s = 0; s < count; s += kLanes<C>) {
    Vector<C> weighted[rows];
    LATENTCORE_UNROLL
    for (int64_t a = 0; a < rows; ++a) weighted[a] = load_vector(work.whitened + a * work.size + s);
    LATENTCORE_UNROLL
    for (int64_t b = 0; b < columns; ++b) {
      const Vector<C> difference = load_vector(work.difference + (j + b) * work.size + s);
      LATENTCORE_UNROLL
      for (int64_t a = 0; a < rows; ++a) products[a * columns + b] += weighted[a] * difference;
    }
  }
  C sums[rows * columns];
  sum_lanes<C, rows * columns>(products, sums);
  for (int64_t a = 0; a < rows; ++a) {
    double* row = second + (i + a) * (i + a + 1) / 2;
    for (int64_t b = 0; b < columns && j + b <= i + a; ++b) row[j + b] += static_cast<double>(sums[a * columns + b]);
  }
}

template <class C>
LATENTCORE_FUNCTION void add_triangular_moments(const Mixture<C>& mixture, int64_t k, int64_t count,
                                                const MixtureWorkspace<C>& work, const Moments& out) {
  const C* resp = work.joint + k * work.size;
  subtract_mean(mixture, k, count, work);
  *out.n_k += static_cast<double>(sum_block(resp, count));
  for_tiles<kRowTile>(mixture.D, [&](int64_t i, auto row_tile) {
    constexpr int64_t rows = decltype(row_tile)::width;
    weigh<rows>(resp, i, count, work, out.first);
    for_tiles<kTileWidth>(i + rows, [&](int64_t j, auto column_tile) {
      add_tile<rows, decltype(column_tile)::width>(i, j, count, work, out.second);
    });
  });
}

template <class C>
LATENTCORE_FUNCTION void add_diagonal_moments(const Mixture<C>& mixture, int64_t k, int64_t count,
                                              const MixtureWorkspace<C>& work, const Moments& out) {
  const C* resp = work.joint + k * work.size;
  const C* mean = mixture.means + k * mixture.D;
  *out.n_k += static_cast<double>(sum_block(resp, count));
  for_tiles<kTileWidth>(mixture.D, [&](int64_t i, auto constant) {
    constexpr int64_t width = decltype(constant)::width;
    Vector<C> first[width] = {}, second[width] = {};
    for (int64_t s = 0; s < count; s += kLanes<C>) {
      const Vector<C> r = load_vector(resp + s);
      LATENTCORE_UNROLL
      for (int64_t c = 0; c < width; ++c) {
        const Vector<C> difference = load_vector(work.x + (i + c) * work.size + s) - mean[i + c];
        const Vector<C> weighted = r * difference;
        first[c] += weighted;
        second[c] += weighted * difference;
      }
    }
    add_lanes<C>(first, out.first + i);
    C sums[width];
    sum_lanes<C, width>(second, sums);
    for (int64_t c = 0; c < width; ++c) {
      out.second[mixture.type == CovarianceType::diag ? i + c : 0] += static_cast<double>(sums[c]);
    }
  });
}

// Adds the moments of component k for r = joint[k] over `count` samples, whole registers of them. work.difference and
// work.whitened are overwritten.
template <class C>
LATENTCORE_FUNCTION void add_moments(const Mixture<C>& mixture, int64_t k, int64_t count,
                                     const MixtureWorkspace<C>& work, double* sums) {
  const Moments out = Moments::of(mixture, k, sums);
  if (!is_triangular(mixture.type)) {
    add_diagonal_moments(mixture, k, count, work, out);
  } else if (!for_small(mixture.D, [&](auto constant) {
               add_small_moments<decltype(constant)::width>(mixture, k, count, work, out);
             })) {
    add_triangular_moments(mixture, k, count, work, out);
  }
}

}  // namespace
}  // namespace latentcore

#endif
