// Pointers to what a posterior and its prior are made of, for the loops and kernels of more than one operator.
#pragma once

#include <cstdint>

#include "math/gaussian.h"

namespace latentcore {

// Rows of L latents, each tensor (rows, L). The prior is N(0, 1) where its pointers are null.
template <class T>
struct Latents {
  const T *mu, *logvar, *prior_mu, *prior_logvar;
  int64_t L;
};

// The gradients with respect to these, of the same shapes; null for a prior N(0, 1).
template <class T>
struct LatentGradients {
  T *mu, *logvar, *prior_mu, *prior_logvar;
};

// The KL divergence of element i; `std` = exp(logvar / 2).
template <bool prior, class T>
LATENTCORE_FUNCTION compute_t<T> kl_of(const Latents<T>& q, int64_t i, compute_t<T> mu, compute_t<T> logvar,
                                       compute_t<T> std) {
  using C = compute_t<T>;
  if constexpr (prior) {
    const auto r = in_prior_units<C>(mu, logvar, load(q.prior_mu[i]), load(q.prior_logvar[i]));
    return gaussian_kl(r.mu, r.logvar, exp(C(0.5) * r.logvar));
  } else {
    return gaussian_kl(mu, logvar, std);
  }
}

}  // namespace latentcore
