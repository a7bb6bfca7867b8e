#pragma once

#include "cpu/simd/levels.h"

namespace latentcore {

// Rows are samples: P pixels, L latents.
template <class T>
struct VaeLossLoops {
  using C = compute_t<T>;

  // The target is uint8 (divided by 255) where `bytes` is set, else of type T. `gradient`, which may be null, gets the
  // gradient times `factor`. A target of the Bernoulli likelihood that is no number in [0, 1] makes NaN of its row and
  // of its own gradient.
  void (*reconstruction)(const T* logits, const void* target, bool bytes, bool gaussian, double inverse_variance,
                         C factor, int64_t row_begin, int64_t row_end, int64_t P, C* reconstruction, T* gradient);
  // KL(N(mu, exp(logvar)) || N(0, 1)), summed over the latents
  void (*kl)(const T* mu, const T* logvar, int64_t row_begin, int64_t row_end, int64_t L, C* kl);
  // out[row] = factor[row] * values[row]
  void (*scale)(const C* factor, const T* values, int64_t row_begin, int64_t row_end, int64_t P, T* out);
  // the gradients of the KL term times factor[row]
  void (*kl_gradient)(const C* factor, const T* mu, const T* logvar, int64_t row_begin, int64_t row_end, int64_t L,
                      T* grad_mu, T* grad_logvar);

  template <SimdLevel level>
  static VaeLossLoops at();
};

}  // namespace latentcore

#ifdef LATENTCORE_LEVEL

#include "cpu/simd/block.h"
#include "math/gaussian.h"
#include "math/likelihood.h"

namespace latentcore {
namespace {

// `total`, or NaN where a target of the row is outside [0, 1]; the gradients of such pixels become NaN too.
template <class T>
LATENTCORE_FUNCTION compute_t<T> refuse_outside(const T* target, int64_t P, double total, T* gradient) {
  using C = compute_t<T>;
  const C nan = static_cast<C>(__builtin_nan(""));
  C result = static_cast<C>(total);
  for (int64_t i = 0; i < P; ++i) {
    const C x = load(target[i]);
    if (x >= C(0) && x <= C(1)) continue;
    result = nan;
    if (gradient != nullptr) gradient[i] = store<T>(nan);
  }
  return result;
}

// The term of every pixel of a row, summed, with its gradient. term(logit, target) -> Term. Of targets that are
// `checked` the extremes are kept, at an instruction or two a target, where comparisons and what they choose between
// cost four: floats from 0 to 1 have bits that are less than those of any other, but for -0; doubles have no such
// instruction everywhere, so that the least and the greatest are kept. A target that is NaN makes NaN of its term
// anyway.
template <bool with_gradient, bool checked, class T, class Target, class TermOf>
LATENTCORE_FUNCTION compute_t<T> row_terms(const T* logits, const Target* target, compute_t<T> unit,
                                           compute_t<T> factor, int64_t P, T* gradient, TermOf term) {
  using C = compute_t<T>;
  constexpr bool by_bits = checked && std::is_same_v<C, float>, by_value = checked && !by_bits;
  double total = 0;
  C least = 0, greatest = 1;
  uint32_t bits = 0;
  for (int64_t begin = 0; begin < P; begin += kBlock) {
    const int64_t end = min(begin + kBlock, P);
    C sum = 0;
#pragma omp simd reduction(+ : sum) reduction(min : least) reduction(max : greatest, bits)
    for (int64_t i = begin; i < end; ++i) {
      const C x = unit * static_cast<C>(load(target[i]));
      const Term<C> t = term(static_cast<C>(load(logits[i])), x);
      sum += t.value;
      if constexpr (by_bits) bits = max(bit_copy<uint32_t>(x), bits);
      if constexpr (by_value) least = min(x, least);
      if constexpr (by_value) greatest = max(x, greatest);
      if constexpr (with_gradient) gradient[i] = store<T>(factor * t.gradient);
    }
    total += static_cast<double>(sum);
  }
  if constexpr (checked) {
    if (bits > bit_copy<uint32_t>(1.0f) || least < C(0) || greatest > C(1)) {
      return refuse_outside(target, P, total, gradient);
    }
  }
  return static_cast<C>(total);
}

template <bool checked, class T, class Target, class TermOf>
LATENTCORE_FUNCTION compute_t<T> row_sum(const T* logits, const Target* target, compute_t<T> unit, compute_t<T> factor,
                                         int64_t P, T* gradient, TermOf term) {
  return gradient == nullptr ? row_terms<false, checked>(logits, target, unit, factor, P, gradient, term)
                             : row_terms<true, checked>(logits, target, unit, factor, P, gradient, term);
}

template <class T, class Target>
LATENTCORE_FUNCTION void sum_rows(const T* logits, const Target* target, compute_t<T> unit, bool gaussian,
                                  double inverse_variance, compute_t<T> factor, int64_t row_begin, int64_t row_end,
                                  int64_t P, compute_t<T>* result, T* gradient) {
  using C = compute_t<T>;
  constexpr bool checked = std::is_same_v<T, Target>;  // bytes cannot be outside [0, 1]
  const C weight = static_cast<C>(inverse_variance);
  const auto bernoulli_of = [](C logit, C x) __attribute__((always_inline)) { return bernoulli_term(logit, x); };
  const auto gaussian_of = [=](C logit, C x) __attribute__((always_inline)) { return gaussian_term(logit, x, weight); };
  for (int64_t row = row_begin; row < row_end; ++row) {
    const T* from = logits + row * P;
    const Target* x = target + row * P;
    T* slope = gradient == nullptr ? nullptr : gradient + row * P;
    result[row] = gaussian ? row_sum<false>(from, x, unit, factor, P, slope, gaussian_of)
                           : row_sum<checked>(from, x, unit, factor, P, slope, bernoulli_of);
  }
}

template <class T>
void sum_reconstruction(const T* logits, const void* target, bool bytes, bool gaussian, double inverse_variance,
                        compute_t<T> factor, int64_t row_begin, int64_t row_end, int64_t P, compute_t<T>* result,
                        T* gradient) {
  using C = compute_t<T>;
  if (bytes) {
    sum_rows(logits, static_cast<const uint8_t*>(target), C(1) / C(255), gaussian, inverse_variance, factor, row_begin,
             row_end, P, result, gradient);
  } else {
    sum_rows(logits, static_cast<const T*>(target), C(1), gaussian, inverse_variance, factor, row_begin, row_end, P,
             result, gradient);
  }
}

template <class T>
void sum_kl(const T* mu, const T* logvar, int64_t row_begin, int64_t row_end, int64_t L, compute_t<T>* result) {
  using C = compute_t<T>;
  C term[kBlock];
  for (int64_t row = row_begin; row < row_end; ++row) {
    BlockSum<C> sum;
    for (int64_t begin = row * L; begin < (row + 1) * L; begin += kBlock) {
      const int64_t size = min(kBlock, (row + 1) * L - begin);
#pragma omp simd
      for (int64_t i = 0; i < size; ++i) {
        const C v = load(logvar[begin + i]);
        term[i] = gaussian_kl(load(mu[begin + i]), v, exp(C(0.5) * v));
      }
      sum.add(term, size);
    }
    result[row] = sum.take();
  }
}

template <class T>
void scale_rows(const compute_t<T>* factor, const T* values, int64_t row_begin, int64_t row_end, int64_t P, T* out) {
  for (int64_t row = row_begin; row < row_end; ++row) {
    const compute_t<T> f = factor[row];
#pragma omp simd
    for (int64_t i = row * P; i < (row + 1) * P; ++i) out[i] = store<T>(f * load(values[i]));
  }
}

template <class T>
void kl_backward(const compute_t<T>* factor, const T* mu, const T* logvar, int64_t row_begin, int64_t row_end,
                 int64_t L, T* grad_mu, T* grad_logvar) {
  using C = compute_t<T>;
  for (int64_t row = row_begin; row < row_end; ++row) {
    const C f = factor[row];
#pragma omp simd
    for (int64_t i = row * L; i < (row + 1) * L; ++i) {
      grad_mu[i] = store<T>(f * load(mu[i]));
      grad_logvar[i] = store<T>(f * gaussian_kl_grad_logvar(exp(C(0.5) * load(logvar[i]))));
    }
  }
}

}  // namespace

LATENTCORE_LOOPS(VaeLossLoops, &sum_reconstruction<T>, &sum_kl<T>, &scale_rows<T>, &kl_backward<T>)

}  // namespace latentcore

#endif
