// Reconstruction terms of one pixel, as functions of the decoder's logit; the decoded value is always sigmoid(logit).
#pragma once

#include "math/elementary.h"

namespace latentcore {

template <class T>
struct Term {
  T value;     // nats
  T gradient;  // with respect to the logit
};

// The sigmoid's numerator over 1 + e with e = exp(-|logit|), which is in (0, 1], so that nothing overflows: 1 for
// logit >= 0, else e. A selection between constants, the only one of which g++ always makes SIMD code.
template <class T>
LATENTCORE_FUNCTION T sigmoid_numerator(T logit, T e) {
  const T right = logit >= T(0) ? T(1) : T(0);
  return right + (T(1) - right) * e;
}

// Binary cross entropy: log(1 + exp(logit)) - logit * target. With e = exp(-|logit|), the logarithm log(1 + e) =
// 2 artanh(e / (2 + e)) and the sigmoid share one division.
template <class T>
LATENTCORE_FUNCTION Term<T> bernoulli_term(T logit, T target) {
  const T e = exp_nonpositive(-abs(logit));
  const T one_e = T(1) + e, two_e = T(2) + e;
  const T inverse = T(1) / (one_e * two_e);
  const T log1p_e = twice_artanh(e * one_e * inverse);
  const T sigmoid = sigmoid_numerator(logit, e) * two_e * inverse;
  const T positive = logit > T(0) ? logit : T(0);
  // NaN goes through, since both the exponential and the product keep it
  return {positive - logit * target + log1p_e, sigmoid - target};
}

// (target - sigmoid(logit))^2 / (2 scale^2), the constant dropped
template <class T>
LATENTCORE_FUNCTION Term<T> gaussian_term(T logit, T target, T inverse_variance) {
  const T e = exp_nonpositive(-abs(logit));
  const T s = sigmoid_numerator(logit, e) / (T(1) + e);
  const T difference = s - target;
  return {T(0.5) * inverse_variance * difference * difference, inverse_variance * difference * s * (T(1) - s)};
}

}  // namespace latentcore
