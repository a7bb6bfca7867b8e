// The responsibilities of one block of samples, from their log densities.
#pragma once

#include "cpu/simd/mixture_block.h"

#ifdef LATENTCORE_LEVEL

namespace latentcore {
namespace {

// norm[s] = the greatest of joint[k][s], or 0 where all are -inf
template <class C>
LATENTCORE_FUNCTION void greatest_joint(int64_t K, int64_t count, const MixtureWorkspace<C>& work) {
  for_registers<C>(count, [&](int64_t s, auto samples) {
    constexpr int64_t vectors = decltype(samples)::width;
    Vector<C> greatest[vectors];
    LATENTCORE_UNROLL
    for (int64_t v = 0; v < vectors; ++v) greatest[v] = load_vector(work.joint + s + v * kLanes<C>);
    for (int64_t k = 1; k < K; ++k) {
      LATENTCORE_UNROLL
      for (int64_t v = 0; v < vectors; ++v) {
        const Vector<C> joint = load_vector(work.joint + k * work.size + s + v * kLanes<C>);
        greatest[v] = joint > greatest[v] ? joint : greatest[v];
      }
    }
    LATENTCORE_UNROLL
    for (int64_t v = 0; v < vectors; ++v) store_vector<C>(greatest[v], work.norm + s + v * kLanes<C>);
  });
#pragma omp simd
  for (int64_t s = 0; s < count; ++s) work.norm[s] = finite_or_zero(work.norm[s]);
}

// Responsibilities below this become 0: their products with differences would be denormal numbers, over which
// processors take a hundred times as long.
template <class C>
constexpr C kNegligible = std::numeric_limits<C>::min() / std::numeric_limits<C>::epsilon();

// scale[s] = sum_k exp(joint[k][s] - norm[s]); `keep` leaves the exponentials in joint.
template <bool keep, class C>
LATENTCORE_FUNCTION void sum_exponentials(int64_t K, int64_t count, const MixtureWorkspace<C>& work) {
  for (int64_t k = 0; k < K; ++k) {
    C* joint = work.joint + k * work.size;
#pragma omp simd
    for (int64_t s = 0; s < count; ++s) {
      const C value = exp_nonpositive(joint[s] - work.norm[s]);
      work.scale[s] = k == 0 ? value : work.scale[s] + value;
      if (keep) joint[s] = value < kNegligible<C> ? C(0) : value;
    }
  }
}

// joint becomes the log responsibilities, norm log sum_k exp(joint), which is -inf where no component reaches a sample.
template <class C>
LATENTCORE_FUNCTION void normalize(int64_t K, int64_t count, const MixtureWorkspace<C>& work) {
  greatest_joint(K, count, work);
  sum_exponentials<false>(K, count, work);
#pragma omp simd
  for (int64_t s = 0; s < count; ++s) work.norm[s] += log(work.scale[s]);
  for (int64_t k = 0; k < K; ++k) {
    C* joint = work.joint + k * work.size;
#pragma omp simd
    for (int64_t s = 0; s < count; ++s) joint[s] -= finite_or_zero(work.norm[s]);
  }
}

// A sample of weight 0 counts nowhere, whatever it is: it becomes 0.
template <class T, class C>
LATENTCORE_FUNCTION void clear_weightless(int64_t D, const T* sample_weight, int64_t begin, int64_t count,
                                          const MixtureWorkspace<C>& work) {
  if (sample_weight == nullptr) return;
  for (int64_t s = 0; s < count; ++s) {
    if (load(sample_weight[begin + s]) == C(0)) {
      for (int64_t i = 0; i < D; ++i) work.x[i * work.size + s] = 0;
    }
  }
}

// The log likelihood of all samples. One that no component reaches counts in it only, whatever it is: it becomes 0.
template <class C>
LATENTCORE_FUNCTION C settle_unreached(int64_t D, int64_t count, const MixtureWorkspace<C>& work) {
  const C log_likelihood = sum_block(work.norm, count);
  if (log_likelihood > -std::numeric_limits<C>::infinity()) return log_likelihood;
  for (int64_t s = 0; s < count; ++s) {
    if (work.scale[s] != 0) continue;
    for (int64_t i = 0; i < D; ++i) work.x[i * work.size + s] = 0;
  }
  return log_likelihood;
}

// joint becomes the responsibilities, weighted; norm[s] = log sum_k exp(joint[k][s]), weighted.
template <class T, class C>
LATENTCORE_FUNCTION void responsibilities(int64_t K, const T* sample_weight, int64_t begin, int64_t count,
                                          const MixtureWorkspace<C>& work) {
  const int64_t rounded = rounded_up<C>(count);
  greatest_joint(K, rounded, work);
  sum_exponentials<true>(K, rounded, work);
#pragma omp simd
  for (int64_t s = 0; s < rounded; ++s) {
    const C sum = work.scale[s];
    work.norm[s] += log(sum);
    work.scale[s] = responsibility_scale(C(1), sum);
  }
  for (int64_t s = count; s < rounded; ++s) work.scale[s] = 0;
  if (sample_weight != nullptr) {
#pragma omp simd
    for (int64_t s = 0; s < count; ++s) {
      const C weight = load(sample_weight[begin + s]);
      work.scale[s] *= weight;
      // a sample of weight 0 counts nothing, even where its likelihood is 0
      work.norm[s] = weight == C(0) ? C(0) : weight * work.norm[s];
    }
  }
}

template <class C>
LATENTCORE_FUNCTION void scale_joint(int64_t k, int64_t count, const MixtureWorkspace<C>& work) {
  C* joint = work.joint + k * work.size;
#pragma omp simd
  for (int64_t s = 0; s < count; ++s) joint[s] *= work.scale[s];
}

}  // namespace
}  // namespace latentcore

#endif
