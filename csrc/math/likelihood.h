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

// log(1 + exp(-|logit|)), the sigmoid, and 1 minus it, which keeps its digits near 0. With e = exp(-|logit|), the
// logarithm log(1 + e) = 2 artanh(e / (2 + e)) and the sigmoid share one division.
template <class T>
struct Softplus {
  T log1p_e, sigmoid, complement;

  LATENTCORE_MEMBER static Softplus of(T logit) {
    const T e = exp_nonpositive(-abs(logit));
    const T one_e = T(1) + e, two_e = T(2) + e;
    const T inverse = T(1) / (one_e * two_e);
    return {twice_artanh(e * one_e * inverse), sigmoid_numerator(logit, e) * two_e * inverse,
            sigmoid_numerator(-logit, e) * two_e * inverse};
  }
};

// Binary cross entropy: log(1 + exp(logit)) - logit * target.
template <class T>
LATENTCORE_FUNCTION Term<T> bernoulli_term(T logit, T target) {
  const Softplus<T> s = Softplus<T>::of(logit);
  const T positive = logit > T(0) ? logit : T(0);
  // NaN goes through, since both the exponential and the product keep it
  return {positive - logit * target + s.log1p_e, s.sigmoid - target};
}

// The same with the weight p of positive targets, in two parts of one sign, so that nothing cancels:
// (1 - target) log(1 + exp(logit)) + p target log(1 + exp(-logit)).
template <class T>
LATENTCORE_FUNCTION Term<T> weighted_bernoulli_term(T logit, T target, T positive_weight) {
  const Softplus<T> s = Softplus<T>::of(logit);
  const T positive = logit > T(0) ? logit : T(0), negative = logit < T(0) ? -logit : T(0);
  const T on = positive_weight * target, off = T(1) - target;
  return {off * (positive + s.log1p_e) + on * (negative + s.log1p_e), off * s.sigmoid - on * s.complement};
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
