// Reconstruction terms of one pixel, as functions of the decoder's logit; the decoded value is always sigmoid(logit).
#pragma once

#include "math/elementary.h"

namespace latentcore {

template <class T>
struct Term {
  T value;     // nats
  T gradient;  // with respect to the logit
};

// exp(-|logit|) is in (0, 1]: nothing overflows.
template <class T>
LATENTCORE_FUNCTION T sigmoid_from(T logit, T e) {
  return (logit >= T(0) ? T(1) : e) / (T(1) + e);
}

// Binary cross entropy: log(1 + exp(logit)) - logit * target
template <class T>
LATENTCORE_FUNCTION Term<T> bernoulli_term(T logit, T target) {
  const T e = exp(-abs(logit));
  const T positive = logit > T(0) ? logit : T(0);
  // NaN goes through, since both the exponential and the product keep it
  return {positive - logit * target + log1p(e), sigmoid_from(logit, e) - target};
}

// (target - sigmoid(logit))^2 / (2 scale^2), the constant dropped
template <class T>
LATENTCORE_FUNCTION Term<T> gaussian_term(T logit, T target, T inverse_variance) {
  const T s = sigmoid_from(logit, exp(-abs(logit)));
  const T difference = s - target;
  return {T(0.5) * inverse_variance * difference * difference, inverse_variance * difference * s * (T(1) - s)};
}

}  // namespace latentcore
