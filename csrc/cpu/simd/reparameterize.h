#pragma once

#include "cpu/simd/levels.h"
#include "math/latents.h"

namespace latentcore {

// Rows of L latents; row r holds the elements [r * L, (r + 1) * L) of the noise, counted from `offset`.
template <class T>
struct ReparameterizeLoops {
  using C = compute_t<T>;

  // z = mu + exp(logvar / 2) * noise; kl[r] = sum over the row of KL(N(mu, exp(logvar)) || prior), or, `per_latent`,
  // the divergence of every element
  void (*forward)(const Latents<T>& q, uint64_t seed, uint64_t offset, int64_t row_begin, int64_t row_end,
                  bool per_latent, T* z, C* kl);
  // The noise is drawn again: nothing of the forward pass is kept but the arguments.
  void (*backward)(const T* grad_z, const C* grad_kl, bool per_latent, const Latents<T>& q, uint64_t seed,
                   uint64_t offset, int64_t row_begin, int64_t row_end, const LatentGradients<T>& grad);

  template <SimdLevel level>
  static ReparameterizeLoops at();
};

}  // namespace latentcore

#ifdef LATENTCORE_LEVEL

#include "cpu/simd/block.h"
#include "cpu/simd/noise.h"

namespace latentcore {
namespace {

// Short rows share a block, so that they fill the SIMD lanes too, but a row is never cut where it fits: its sum must
// not depend on the rows before it, which another thread may have. visit(row, begin, end) gets the row's part of the
// block.
template <class Visit>
LATENTCORE_FUNCTION void for_rows(int64_t begin, int64_t end, int64_t L, Visit visit) {
  for (int64_t i = begin; i < end;) {
    const int64_t row = i / L;
    const int64_t stop = min((row + 1) * L, end);
    visit(row, i - begin, stop - begin);
    i = stop;
  }
}

// Where the block that starts at `begin` ends.
LATENTCORE_FUNCTION int64_t block_end(int64_t begin, int64_t row_end, int64_t L) {
  if (L <= kBlock) return min(begin + kBlock / L * L, row_end * L);
  return min(begin + kBlock, (begin / L + 1) * L);
}

template <bool prior, class T>
void reparameterize_rows(const Latents<T>& q, uint64_t seed, uint64_t offset, int64_t row_begin, int64_t row_end,
                         bool per_latent, T* z, compute_t<T>* kl) {
  using C = compute_t<T>;
  C m[kBlock], v[kBlock], sample[kBlock], term[kBlock], noise_buffer[kNoiseBuffer];
  BlockSum<C> row_sum;
  const int64_t L = q.L;
  for (int64_t begin = row_begin * L, end; begin < row_end * L; begin = end) {
    end = block_end(begin, row_end, L);
    const int64_t size = end - begin;
    const C* noise = normal_block(seed, offset + static_cast<uint64_t>(begin), size, noise_buffer);
    load_block(q.mu + begin, size, m);
    load_block(q.logvar + begin, size, v);
    if constexpr (prior) {
      C prior_mu[kBlock], prior_logvar[kBlock];
      load_block(q.prior_mu + begin, size, prior_mu);
      load_block(q.prior_logvar + begin, size, prior_logvar);
#pragma omp simd
      for (int64_t i = 0; i < size; ++i) {
        sample[i] = m[i] + exp(C(0.5) * v[i]) * noise[i];
        const auto r = in_prior_units(m[i], v[i], prior_mu[i], prior_logvar[i]);
        term[i] = gaussian_kl(r.mu, r.logvar, exp(C(0.5) * r.logvar));
      }
    } else {
#pragma omp simd
      for (int64_t i = 0; i < size; ++i) {
        const C std = exp(C(0.5) * v[i]);
        sample[i] = m[i] + std * noise[i];
        term[i] = gaussian_kl(m[i], v[i], std);
      }
    }
    store_block(sample, size, z + begin);
    if (per_latent) {
      store_block(term, size, kl + begin);
      continue;
    }
    for_rows(begin, end, L, [&](int64_t row, int64_t from, int64_t to) {
      row_sum.add(term + from, to - from);
      if (begin + to == (row + 1) * L) kl[row] = row_sum.take();
    });
  }
}

template <class T>
void reparameterize(const Latents<T>& q, uint64_t seed, uint64_t offset, int64_t row_begin, int64_t row_end,
                    bool per_latent, T* z, compute_t<T>* kl) {
  const auto rows = q.prior_mu == nullptr ? &reparameterize_rows<false, T> : &reparameterize_rows<true, T>;
  rows(q, seed, offset, row_begin, row_end, per_latent, z, kl);
}

template <bool prior, class T>
void reparameterize_backward_rows(const T* grad_z, const compute_t<T>* grad_kl, bool per_latent, const Latents<T>& q,
                                  uint64_t seed, uint64_t offset, int64_t row_begin, int64_t row_end,
                                  const LatentGradients<T>& grad) {
  using C = compute_t<T>;
  C m[kBlock], v[kBlock], gz[kBlock], gkl[kBlock], gm[kBlock], gv[kBlock], noise_buffer[kNoiseBuffer];
  const int64_t L = q.L;
  for (int64_t begin = row_begin * L, end; begin < row_end * L; begin = end) {
    end = block_end(begin, row_end, L);
    const int64_t size = end - begin;
    const C* noise = normal_block(seed, offset + static_cast<uint64_t>(begin), size, noise_buffer);
    load_block(q.mu + begin, size, m);
    load_block(q.logvar + begin, size, v);
    load_block(grad_z + begin, size, gz);
    if (per_latent) {
      load_block(grad_kl + begin, size, gkl);
    } else {
      for_rows(begin, end, L, [&](int64_t row, int64_t from, int64_t to) {
        for (int64_t i = from; i < to; ++i) gkl[i] = grad_kl[row];
      });
    }
    if constexpr (prior) {
      C prior_mu[kBlock], prior_logvar[kBlock];  // their gradients in the end
      load_block(q.prior_mu + begin, size, prior_mu);
      load_block(q.prior_logvar + begin, size, prior_logvar);
#pragma omp simd
      for (int64_t i = 0; i < size; ++i) {
        const auto k = kl_slopes(in_prior_units(m[i], v[i], prior_mu[i], prior_logvar[i]));
        gm[i] = gz[i] + gkl[i] * k.mu;
        gv[i] = C(0.5) * gz[i] * exp(C(0.5) * v[i]) * noise[i] + gkl[i] * k.logvar;
        prior_mu[i] = -gkl[i] * k.mu;
        prior_logvar[i] = gkl[i] * k.prior_logvar;
      }
      store_block(prior_mu, size, grad.prior_mu + begin);
      store_block(prior_logvar, size, grad.prior_logvar + begin);
    } else {
#pragma omp simd
      for (int64_t i = 0; i < size; ++i) {
        const C std = exp(C(0.5) * v[i]);
        gm[i] = gz[i] + gkl[i] * m[i];
        gv[i] = C(0.5) * gz[i] * std * noise[i] + gkl[i] * gaussian_kl_grad_logvar(std);
      }
    }
    store_block(gm, size, grad.mu + begin);
    store_block(gv, size, grad.logvar + begin);
  }
}

template <class T>
void reparameterize_backward(const T* grad_z, const compute_t<T>* grad_kl, bool per_latent, const Latents<T>& q,
                             uint64_t seed, uint64_t offset, int64_t row_begin, int64_t row_end,
                             const LatentGradients<T>& grad) {
  const auto rows =
      q.prior_mu == nullptr ? &reparameterize_backward_rows<false, T> : &reparameterize_backward_rows<true, T>;
  rows(grad_z, grad_kl, per_latent, q, seed, offset, row_begin, row_end, grad);
}

}  // namespace

LATENTCORE_LOOPS(ReparameterizeLoops, &reparameterize<T>, &reparameterize_backward<T>)

}  // namespace latentcore

#endif
