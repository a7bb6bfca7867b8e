#pragma once

#include "cpu/simd/levels.h"

namespace latentcore {

// Rows are samples: P pixels, L latents.
template <class T>
struct VaeLossLoops {
  using C = compute_t<T>;

  // The target is uint8 (divided by 255) where `bytes` is set, else of type T. inverse_variance > 0 chooses the
  // Gaussian likelihood, 0 the Bernoulli one. `gradient` may be null.
  void (*reconstruction)(const T* logits, const void* target, bool bytes, double inverse_variance, int64_t row_begin,
                         int64_t row_end, int64_t P, C* reconstruction, T* gradient);
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

template <class T>
LATENTCORE_FUNCTION void load_target(const void* target, bool bytes, int64_t first, int64_t size, compute_t<T>* out) {
  using C = compute_t<T>;
  if (!bytes) return load_block(static_cast<const T*>(target) + first, size, out);
  const uint8_t* pixels = static_cast<const uint8_t*>(target) + first;
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) out[i] = static_cast<C>(pixels[i]) / C(255);
}

template <class C>
LATENTCORE_FUNCTION void terms(const C* logit, const C* target, C inverse_variance, int64_t size, C* value,
                               C* gradient) {
  if (inverse_variance > C(0)) {
#pragma omp simd
    for (int64_t i = 0; i < size; ++i) {
      const Term<C> term = gaussian_term(logit[i], target[i], inverse_variance);
      value[i] = term.value;
      gradient[i] = term.gradient;
    }
    return;
  }
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) {
    const Term<C> term = bernoulli_term(logit[i], target[i]);
    value[i] = term.value;
    gradient[i] = term.gradient;
  }
}

template <class T>
void sum_reconstruction(const T* logits, const void* target, bool bytes, double inverse_variance, int64_t row_begin,
                        int64_t row_end, int64_t P, compute_t<T>* result, T* gradient) {
  using C = compute_t<T>;
  C logit[kBlock], x[kBlock], value[kBlock], slope[kBlock];
  for (int64_t row = row_begin; row < row_end; ++row) {
    BlockSum<C> sum;
    for (int64_t begin = row * P; begin < (row + 1) * P; begin += kBlock) {
      const int64_t size = min(kBlock, (row + 1) * P - begin);
      load_block(logits + begin, size, logit);
      load_target<T>(target, bytes, begin, size, x);
      terms(logit, x, static_cast<C>(inverse_variance), size, value, slope);
      sum.add(value, size);
      if (gradient != nullptr) store_block(slope, size, gradient + begin);
    }
    result[row] = sum.take();
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
