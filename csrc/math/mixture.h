// Formulas of a Gaussian mixture: weights pi_k, means mu_k, and precisions given by their Cholesky factors P_k, upper
// triangular, with precision = P_k P_k^T (scikit-learn's convention).
//
//   log N(x | mu, P) = sum_j log P_jj - D / 2 log(2 pi) - 1/2 |P^T (x - mu)|^2
#pragma once

#include <limits>

#include "math/elementary.h"

namespace latentcore {

// The shape of the precision factors: full (K, D, D), tied (D, D), diag (K, D), spherical (K)
enum class CovarianceType { full, tied, diag, spherical };

// full and tied have a triangular factor, diag and spherical a number per dimension
LATENTCORE_FUNCTION bool is_triangular(CovarianceType type) {
  return type == CovarianceType::full || type == CovarianceType::tied;
}

// scikit-learn's guard of components without samples, which is added to how many they have, in the unit of a sample's
// weight; such a component keeps its mean.
template <class T>
constexpr double kCountGuard = 10 * static_cast<double>(std::numeric_limits<T>::epsilon());

// The part of the log density that does not depend on the sample.
template <class T>
LATENTCORE_FUNCTION T gaussian_log_normalizer(T log_det, int64_t D) {
  return log_det - static_cast<T>(D) * T(0.91893853320467274178);
}

// Log-sum-exp over the components subtracts their greatest value; where all are -inf it subtracts nothing, so that the
// sum is 0 and not NaN.
template <class T>
LATENTCORE_FUNCTION T finite_or_zero(T greatest) {
  return greatest == -static_cast<T>(__builtin_inf()) ? T(0) : greatest;
}

// What turns exp(log joint - greatest) into a weighted responsibility. A sample that no component reaches (sum 0)
// belongs to none.
template <class T>
LATENTCORE_FUNCTION T responsibility_scale(T sample_weight, T sum) {
  return sum == T(0) ? T(0) : sample_weight / sum;
}

}  // namespace latentcore
