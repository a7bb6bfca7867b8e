// A diagonal Gaussian posterior N(mu, exp(logvar)) against the prior N(0, 1), element by element.
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

}  // namespace latentcore
