// A diagonal Gaussian posterior N(mu, exp(logvar)) against a diagonal Gaussian prior, element by element.
#pragma once

#include "math/elementary.h"

namespace latentcore {

// KL(N(mu, exp(logvar)) || N(0, 1)) = (mu^2 + exp(logvar) - 1 - logvar) / 2, in nats
// (Kingma and Welling, "Auto-encoding variational Bayes", 2014, appendix B); `std` = exp(logvar / 2).
template <class T>
LATENTCORE_FUNCTION T gaussian_kl(T mu, T logvar, T std) {
  return T(0.5) * (mu * mu + std * std - T(1) - logvar);
}

// d KL / d logvar
template <class T>
LATENTCORE_FUNCTION T gaussian_kl_grad_logvar(T std) {
  return T(0.5) * (std * std - T(1));
}

// A posterior in units of the prior N(prior_mu, exp(prior_logvar)): its KL divergence from that prior is the one of
// N(mu, exp(logvar)) from N(0, 1).
template <class T>
struct InPriorUnits {
  T mu, logvar;
  T inverse_std;  // of the prior
};

template <class T>
LATENTCORE_FUNCTION InPriorUnits<T> in_prior_units(T mu, T logvar, T prior_mu, T prior_logvar) {
  const T inverse_std = exp(T(-0.5) * prior_logvar);
  return {(mu - prior_mu) * inverse_std, logvar - prior_logvar, inverse_std};
}

// The derivatives of the KL divergence from any prior; the one with respect to prior_mu is -mu.
template <class T>
struct KlSlopes {
  T mu, logvar, prior_logvar;
};

template <class T>
LATENTCORE_FUNCTION KlSlopes<T> kl_slopes(InPriorUnits<T> q) {
  const T slope = gaussian_kl_grad_logvar(exp(T(0.5) * q.logvar));
  return {q.mu * q.inverse_std, slope, T(-0.5) * q.mu * q.mu - slope};
}

}  // namespace latentcore
