#pragma once

#include "cpu/simd/levels.h"
#include "math/latents.h"

namespace latentcore {

// Rows of P pixels, one for each sample.
template <class T>
struct Pixels {
  using C = compute_t<T>;
  const T* logits;
  const void* target;  // uint8 (divided by 255) where `bytes` is set, else of type T
  bool bytes, gaussian;
  double inverse_variance;
  int64_t P;
  const bool* mask;        // (rows, P): pixels that count; or null: all do
  const C* pos_weight;     // (P,): weights of positive pixels; or null: 1
  const C* sample_weight;  // (rows,): of rows with the weight 0 nothing is read; or null: 1
  bool weigh_gradient;     // by the sample's weight too
  C factor;                // of the gradient
  C* reconstruction;       // (rows,): to be filled, without the weights of the samples
  T* gradient;             // (rows, P): to be filled; or null
};

template <class T>
struct VaeLossLoops {
  using C = compute_t<T>;

  // A target of the Bernoulli likelihood that is no number in [0, 1] makes NaN of its row and of its own gradient,
  // unless it does not count.
  void (*reconstruction)(const Pixels<T>& pixels, int64_t row_begin, int64_t row_end);
  // KL(N(mu, exp(logvar)) || prior), summed over the latents
  void (*kl)(const Latents<T>& q, int64_t row_begin, int64_t row_end, C* kl);
  // out[row] = factor[row] * values[row]
  void (*scale)(const C* factor, const T* values, int64_t row_begin, int64_t row_end, int64_t P, T* out);
  // the gradients of the KL term times factor[row]
  void (*kl_gradient)(const C* factor, const Latents<T>& q, int64_t row_begin, int64_t row_end,
                      const LatentGradients<T>& grad);

  template <SimdLevel level>
  static VaeLossLoops at();
};

}  // namespace latentcore

#ifdef LATENTCORE_LEVEL

#include "cpu/simd/block.h"
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

// A row with a mask or with weights of positive pixels: pixels that do not count are 0 whatever they hold.
template <bool checked, class T, class Target, class TermOf>
LATENTCORE_FUNCTION compute_t<T> chosen_row_sum(const T* logits, const Target* target, compute_t<T> unit,
                                                compute_t<T> factor, int64_t P, const bool* mask,
                                                const compute_t<T>* pos_weight, T* gradient, TermOf term) {
  using C = compute_t<T>;
  const C nan = static_cast<C>(__builtin_nan(""));
  using Bits = std::conditional_t<sizeof(C) == 8, uint64_t, uint32_t>;
  Bits kept[kBlock];  // all bits where the mask is set, else none
  C weight[kBlock], x[kBlock], value[kBlock], slope[kBlock];
  for (C& one : weight) one = C(1);
  BlockSum<C> sum;
  for (int64_t begin = 0; begin < P; begin += kBlock) {
    const int64_t size = min(kBlock, P - begin);
    if (mask != nullptr) {
      const auto* bytes = reinterpret_cast<const uint8_t*>(mask + begin);
#pragma omp simd
      for (int64_t i = 0; i < size; ++i) kept[i] = Bits{0} - static_cast<Bits>(bytes[i] != 0);
    }
    if (pos_weight != nullptr) load_block(pos_weight + begin, size, weight);
    // choices stand in loops of their own: beside the terms they are not made SIMD code
#pragma omp simd
    for (int64_t i = 0; i < size; ++i) x[i] = unit * static_cast<C>(load(target[begin + i]));
    if constexpr (checked) {
#pragma omp simd
      for (int64_t i = 0; i < size; ++i) {
        // a sum with NaN or 0, chosen between constants
        const C below = x[i] >= C(0) ? C(0) : nan, above = x[i] <= C(1) ? C(0) : nan;
        x[i] += below + above;
      }
    }
#pragma omp simd
    for (int64_t i = 0; i < size; ++i) {
      const Term<C> t = term(static_cast<C>(load(logits[begin + i])), x[i], weight[i]);
      value[i] = t.value;
      slope[i] = factor * t.gradient;
    }
    if (mask != nullptr) {
#pragma omp simd
      for (int64_t i = 0; i < size; ++i) {
        value[i] = bit_copy<C>(bit_copy<Bits>(value[i]) & kept[i]);
        slope[i] = bit_copy<C>(bit_copy<Bits>(slope[i]) & kept[i]);
      }
    }
    sum.add(value, size);
    if (gradient != nullptr) store_block(slope, size, gradient + begin);
  }
  return sum.take();
}

// A row by the likelihood. The lambdas are the terms of one pixel.
template <class T, class Target>
LATENTCORE_FUNCTION compute_t<T> reconstruct_row(const Pixels<T>& p, int64_t row, compute_t<T> unit,
                                                 compute_t<T> factor, T* gradient) {
  using C = compute_t<T>;
  constexpr bool checked = std::is_same_v<T, Target>;  // bytes cannot be outside [0, 1]
  const T* logits = p.logits + row * p.P;
  const Target* target = static_cast<const Target*>(p.target) + row * p.P;
  const C weight = static_cast<C>(p.inverse_variance);
  if (p.mask == nullptr && p.pos_weight == nullptr) {
    const auto bernoulli = [](C logit, C x) LATENTCORE_INLINED { return bernoulli_term(logit, x); };
    const auto gaussian = [=](C logit, C x) LATENTCORE_INLINED { return gaussian_term(logit, x, weight); };
    return p.gaussian ? row_sum<false>(logits, target, unit, factor, p.P, gradient, gaussian)
                      : row_sum<checked>(logits, target, unit, factor, p.P, gradient, bernoulli);
  }
  const bool* mask = p.mask == nullptr ? nullptr : p.mask + row * p.P;
  const auto bernoulli = [](C logit, C x, C w) LATENTCORE_INLINED { return weighted_bernoulli_term(logit, x, w); };
  const auto gaussian = [=](C logit, C x, C) LATENTCORE_INLINED { return gaussian_term(logit, x, weight); };
  return p.gaussian
             ? chosen_row_sum<false>(logits, target, unit, factor, p.P, mask, nullptr, gradient, gaussian)
             : chosen_row_sum<checked>(logits, target, unit, factor, p.P, mask, p.pos_weight, gradient, bernoulli);
}

template <class T, class Target>
LATENTCORE_FUNCTION void reconstruct_rows(const Pixels<T>& p, compute_t<T> unit, int64_t row_begin, int64_t row_end) {
  using C = compute_t<T>;
  for (int64_t row = row_begin; row < row_end; ++row) {
    T* gradient = p.gradient == nullptr ? nullptr : p.gradient + row * p.P;
    const C weight = p.sample_weight == nullptr ? C(1) : p.sample_weight[row];
    if (weight == C(0)) {
      p.reconstruction[row] = C(0);
      for (int64_t i = 0; gradient != nullptr && i < p.P; ++i) gradient[i] = store<T>(C(0));
      continue;
    }
    p.reconstruction[row] =
        reconstruct_row<T, Target>(p, row, unit, p.weigh_gradient ? weight * p.factor : p.factor, gradient);
  }
}

template <class T>
void reconstruct(const Pixels<T>& p, int64_t row_begin, int64_t row_end) {
  using C = compute_t<T>;
  if (p.bytes) {
    reconstruct_rows<T, uint8_t>(p, C(1) / C(255), row_begin, row_end);
  } else {
    reconstruct_rows<T, T>(p, C(1), row_begin, row_end);
  }
}

template <bool prior, class T>
void sum_kl_of(const Latents<T>& q, int64_t row_begin, int64_t row_end, compute_t<T>* result) {
  using C = compute_t<T>;
  C term[kBlock];
  for (int64_t row = row_begin; row < row_end; ++row) {
    BlockSum<C> sum;
    for (int64_t begin = row * q.L; begin < (row + 1) * q.L; begin += kBlock) {
      const int64_t size = min(kBlock, (row + 1) * q.L - begin);
#pragma omp simd
      for (int64_t i = 0; i < size; ++i) {
        const C v = load(q.logvar[begin + i]);
        term[i] = kl_of<prior>(q, begin + i, load(q.mu[begin + i]), v, exp(C(0.5) * v));
      }
      sum.add(term, size);
    }
    result[row] = sum.take();
  }
}

template <class T>
void sum_kl(const Latents<T>& q, int64_t row_begin, int64_t row_end, compute_t<T>* result) {
  const auto rows = q.prior_mu == nullptr ? &sum_kl_of<false, T> : &sum_kl_of<true, T>;
  rows(q, row_begin, row_end, result);
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
void kl_backward(const compute_t<T>* factor, const Latents<T>& q, int64_t row_begin, int64_t row_end,
                 const LatentGradients<T>& grad) {
  using C = compute_t<T>;
  for (int64_t row = row_begin; row < row_end; ++row) {
    const C f = factor[row];
    if (q.prior_mu == nullptr) {
#pragma omp simd
      for (int64_t i = row * q.L; i < (row + 1) * q.L; ++i) {
        grad.mu[i] = store<T>(f * load(q.mu[i]));
        grad.logvar[i] = store<T>(f * gaussian_kl_grad_logvar(exp(C(0.5) * load(q.logvar[i]))));
      }
      continue;
    }
#pragma omp simd
    for (int64_t i = row * q.L; i < (row + 1) * q.L; ++i) {
      const auto k =
          kl_slopes(in_prior_units<C>(load(q.mu[i]), load(q.logvar[i]), load(q.prior_mu[i]), load(q.prior_logvar[i])));
      grad.mu[i] = store<T>(f * k.mu);
      grad.logvar[i] = store<T>(f * k.logvar);
      grad.prior_mu[i] = store<T>(-f * k.mu);
      grad.prior_logvar[i] = store<T>(f * k.prior_logvar);
    }
  }
}

}  // namespace

LATENTCORE_LOOPS(VaeLossLoops, &reconstruct<T>, &sum_kl<T>, &scale_rows<T>, &kl_backward<T>)

}  // namespace latentcore

#endif
