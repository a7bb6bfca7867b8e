#pragma once

#include "cpu/simd/levels.h"

namespace latentcore {

// Rows are samples: P pixels, L latents.
template <class T>
struct VaeLossLoops {
  using C = compute_t<T>;

  // The target is uint8 (divided by 255) where `bytes` is set, else of type T. inverse_variance > 0 chooses the
  // Gaussian likelihood, 0 the Bernoulli one. `gradient`, which may be null, gets the gradient times `factor`.
  void (*reconstruction)(const T* logits, const void* target, bool bytes, double inverse_variance, C factor,
                         int64_t row_begin, int64_t row_end, int64_t P, C* reconstruction, T* gradient);
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

// The term of every pixel of a row, summed, with its gradient. term(logit, target) -> Term
template <bool with_gradient, class T, class Target, class TermOf>
LATENTCORE_FUNCTION compute_t<T> row_terms(const T* logits, const Target* target, compute_t<T> unit,
                                           compute_t<T> factor, int64_t P, T* gradient, TermOf term) {
  using C = compute_t<T>;
  double total = 0;
  for (int64_t begin = 0; begin < P; begin += kBlock) {
    const int64_t end = min(begin + kBlock, P);
    C sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = begin; i < end; ++i) {
      const Term<C> t = term(static_cast<C>(load(logits[i])), unit * static_cast<C>(load(target[i])));
      sum += t.value;
      if constexpr (with_gradient) gradient[i] = store<T>(factor * t.gradient);
    }
    total += static_cast<double>(sum);
  }
  return static_cast<C>(total);
}

template <class T, class Target>
LATENTCORE_FUNCTION void sum_rows(const T* logits, const Target* target, compute_t<T> unit, double inverse_variance,
                                  compute_t<T> factor, int64_t row_begin, int64_t row_end, int64_t P,
                                  compute_t<T>* result, T* gradient) {
  using C = compute_t<T>;
  const C weight = static_cast<C>(inverse_variance);
  const auto bernoulli = [](C logit, C x) __attribute__((always_inline)) { return bernoulli_term(logit, x); };
  const auto gaussian = [=](C logit, C x) __attribute__((always_inline)) { return gaussian_term(logit, x, weight); };
  for (int64_t row = row_begin; row < row_end; ++row) {
    const T* from = logits + row * P;
    const Target* x = target + row * P;
    if (gradient == nullptr) {
      result[row] = weight > C(0) ? row_terms<false>(from, x, unit, factor, P, gradient, gaussian)
                                  : row_terms<false>(from, x, unit, factor, P, gradient, bernoulli);
    } else {
      T* slope = gradient + row * P;
      result[row] = weight > C(0) ? row_terms<true>(from, x, unit, factor, P, slope, gaussian)
                                  : row_terms<true>(from, x, unit, factor, P, slope, bernoulli);
    }
  }
}

template <class T>
void sum_reconstruction(const T* logits, const void* target, bool bytes, double inverse_variance, compute_t<T> factor,
                        int64_t row_begin, int64_t row_end, int64_t P, compute_t<T>* result, T* gradient) {
  using C = compute_t<T>;
  if (bytes) {
    sum_rows(logits, static_cast<const uint8_t*>(target), C(1) / C(255), inverse_variance, factor, row_begin, row_end,
             P, result, gradient);
  } else {
    sum_rows(logits, static_cast<const T*>(target), C(1), inverse_variance, factor, row_begin, row_end, P, result,
             gradient);
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
