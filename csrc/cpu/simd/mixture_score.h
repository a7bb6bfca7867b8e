// The gradient of a block's log likelihoods in its samples.
#pragma once

#include "cpu/simd/mixture_block.h"

#ifdef LATENTCORE_LEVEL

namespace latentcore {
namespace {

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
