// What latentcore._C asks the operator `vae_loss`.
#pragma once

#include "cpu/simd/levels.h"

namespace latentcore {

// Whether `vae_loss` has made NaN of a floating target under the Bernoulli likelihood, called by this thread, since it
// was asked last. A look at a tensor would cost a call on a small batch more than is left of it.
LATENTCORE_EXPORT bool take_nan_of_vae_loss();

}  // namespace latentcore
