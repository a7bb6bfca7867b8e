// The kernels of `vae_loss`: a group of threads for each row of pixels and latents.
#pragma once

#include "cuda/device.cuh"
#include "cuda/packs.cuh"
#include "math/latents.h"
#include "math/likelihood.h"

namespace latentcore {
namespace {

constexpr int kThreads = 256;
constexpr int kBlocksPerProcessor = 4;  // up to 64 registers a thread

// Sums in the type of computation, carried over to double before their error grows.
template <class C>
struct Sum {
  double total = 0;
  C part = 0;
  int count = 0;

  __device__ void add(C value) {
    part += value;
    if (++count == 64) flush();
  }
  __device__ void flush() {
    total += static_cast<double>(part);
    part = 0;
    count = 0;
  }
};

// A group of G threads works on one row: a warp, or the whole block. All of them call it, with a row or without.
template <int G>
__device__ double row_sum(double value) {
  if constexpr (G == kWarp) {
    return group_sum<kWarp>(value);
  } else {
    return block_sum<G>(value);
  }
}

// A pixel of the target: bytes are divided by 255. Any other that is no number in [0, 1] is NaN for the Bernoulli
// likelihood, and so becomes its term: nobody waits here for what the values are.
template <bool gaussian, class C, class Target>
__device__ C target_value(Target value) {
  const auto x = static_cast<C>(load(value));
  if constexpr (std::is_same_v<Target, uint8_t>) {
    return x * C(1.0 / 255.0);
  } else if constexpr (gaussian) {
    return x;
  } else {
    return x >= C(0) && x <= C(1) ? x : static_cast<C>(__builtin_nan(""));
  }
}

// What a kernel is compiled for: a prior N(0, 1), no mask and no weights; or anything else, at the price of more
// registers.
enum class Call { plain, any };

// Others than plain calls would spill in double with 64 registers.
template <Call call, class T>
constexpr int kBlocksOfRows = call == Call::any && sizeof(T) == 8 ? 2 : kBlocksPerProcessor;

template <bool gaussian, Call call, class C>
__device__ Term<C> term(C logit, C target, C weight, C positive_weight) {
  if constexpr (gaussian) {
    return gaussian_term(logit, target, weight);
  } else if constexpr (call == Call::any) {
    return weighted_bernoulli_term(logit, target, positive_weight);
  } else {
    return bernoulli_term(logit, target);
  }
}

template <class T, class Target>
struct Forward {
  using C = compute_t<T>;
  const T* logits;
  const Target* target;
  Latents<T> latents;
  int64_t B, P;
  const bool* mask;        // pixels that count, (B, P); or nullptr
  const C* pos_weight;     // (P,), or nullptr
  const C* sample_weight;  // (B,), or nullptr
  bool weigh_gradient;     // by the sample's weight too
  C weight, factor, beta;
  C *loss, *reconstruction, *kl;  // of the rows; no loss where they are averaged later
  T* gradient;                    // or nullptr
};

// Reconstruction of one row by a group: `pack` elements at a time. Pixels that do not count are 0 whatever they hold.
template <bool gaussian, Call call, int G, int pack, class T, class Target>
__device__ double reconstruct(const Forward<T, Target>& f, int64_t row, int thread, compute_t<T> factor) {
  using C = compute_t<T>;
  Sum<C> sum;
  for (int64_t i = row * f.P + int64_t{thread} * pack; i < (row + 1) * f.P; i += G * pack) {
    const auto logits = load_pack<pack>(f.logits + i);
    const auto targets = load_pack<pack>(f.target + i);
    Pack<T, pack> gradient;
#pragma unroll
    for (int k = 0; k < pack; ++k) {
      const auto x = target_value<gaussian, C>(targets.values[k]);
      C positive = 1;
      bool counts = true;
      if constexpr (call == Call::any) {
        if (f.pos_weight != nullptr) positive = f.pos_weight[i + k - row * f.P];
        if (f.mask != nullptr) counts = f.mask[i + k];
      }
      const auto found = term<gaussian, call>(load(logits.values[k]), x, f.weight, positive);
      sum.add(counts ? found.value : C(0));
      gradient.values[k] = store<T>(counts ? factor * found.gradient : C(0));
    }
    if (f.gradient != nullptr) store_pack(gradient, f.gradient + i);
  }
  sum.flush();
  return sum.total;
}

// Of a row that does not count.
template <int G, class T>
__device__ void fill_with_zeros(T* row, int64_t P, int thread) {
  for (int64_t i = thread; i < P; i += G) row[i] = store<T>(0);
}

template <bool prior, int G, class T>
__device__ double kl_of_row(const Latents<T>& q, int64_t row, int thread) {
  using C = compute_t<T>;
  Sum<C> sum;
  for (int64_t i = row * q.L + thread; i < (row + 1) * q.L; i += G) {
    const C logvar = load(q.logvar[i]);
    sum.add(kl_of<prior>(q, i, static_cast<C>(load(q.mu[i])), logvar, exp(C(0.5) * logvar)));
  }
  sum.flush();
  return sum.total;
}

template <bool gaussian, Call call, int G, int pack, class T, class Target>
__global__ void __launch_bounds__(kThreads, kBlocksOfRows<call, T>) vae_loss_kernel(const Forward<T, Target> f) {
  using C = compute_t<T>;
  const int64_t row = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) / G;
  const auto thread = static_cast<int>(threadIdx.x % G);
  double reconstruction = 0, kl = 0;
  C weight = 1;
  if (call == Call::any && f.sample_weight != nullptr && row < f.B) weight = f.sample_weight[row];
  if (row < f.B && (call == Call::plain || weight != C(0))) {
    const C factor = call == Call::any && f.weigh_gradient ? weight * f.factor : f.factor;
    reconstruction = reconstruct<gaussian, call, G, pack>(f, row, thread, factor);
    kl = call == Call::plain || f.latents.prior_mu == nullptr ? kl_of_row<false, G>(f.latents, row, thread)
                                                              : kl_of_row<true, G>(f.latents, row, thread);
  } else if (call == Call::any && row < f.B && f.gradient != nullptr) {
    fill_with_zeros<G>(f.gradient + row * f.P, f.P, thread);
  }
  reconstruction = row_sum<G>(reconstruction);
  kl = row_sum<G>(kl);
  if (row >= f.B || thread != 0) return;
  const C of_pixels = weight * static_cast<C>(reconstruction), of_latents = weight * static_cast<C>(kl);
  f.reconstruction[row] = of_pixels;
  f.kl[row] = of_latents;
  if (f.loss != nullptr) f.loss[row] = of_pixels + f.beta * of_latents;
}

// The means over the rows, or of weighted rows their sums, in a fixed order: one block.
template <class C>
__global__ void __launch_bounds__(kThreads, kBlocksPerProcessor)
    vae_loss_mean_kernel(const C* reconstruction_rows, const C* kl_rows, int64_t B, double count, double beta, C* loss,
                         C* reconstruction, C* kl) {
  double reconstruction_sum = 0, kl_sum = 0;
  for (int64_t row = threadIdx.x; row < B; row += kThreads) {
    reconstruction_sum += static_cast<double>(reconstruction_rows[row]);
    kl_sum += static_cast<double>(kl_rows[row]);
  }
  reconstruction_sum = block_sum<kThreads>(reconstruction_sum);
  kl_sum = block_sum<kThreads>(kl_sum);
  if (threadIdx.x != 0) return;
  *reconstruction = static_cast<C>(reconstruction_sum / count);
  *kl = static_cast<C>(kl_sum / count);
  *loss = static_cast<C>((reconstruction_sum + beta * kl_sum) / count);
}

// What the gradients of a row are multiplied by; no gradient is none.
template <class C>
struct Factors {
  const C *loss, *reconstruction, *kl;
  const C* sample_weight;  // (B,), or nullptr
  bool weighted;           // the gradient that the forward pass has found
  C rest, per_row, beta;
  bool mean;

  __device__ C value(const C* grad, int64_t row) const { return grad == nullptr ? C(0) : grad[mean ? 0 : row]; }
  __device__ bool counts(int64_t row) const { return sample_weight == nullptr || sample_weight[row] != C(0); }
  __device__ C weigh(C value, int64_t row) const {
    if (sample_weight == nullptr) return value;
    return counts(row) ? sample_weight[row] * value : C(0);
  }
  __device__ C logits(int64_t row) const {
    const C factor = rest * (value(loss, row) + value(reconstruction, row));
    return weighted && counts(row) ? factor : weigh(factor, row);
  }
  __device__ C latents(int64_t row) const { return weigh(per_row * (beta * value(loss, row) + value(kl, row)), row); }
};

template <class T>
struct Backward {
  const T* gradient;
  Latents<T> latents;
  int64_t B, P;
  Factors<compute_t<T>> factors;
  T* grad_logits;
  LatentGradients<T> grad_latents;
};

// The gradients of the KL divergence of element i times `factor`, or 0 for one that does not count.
template <class T>
__device__ void store_kl_gradients(const Latents<T>& q, int64_t i, compute_t<T> factor, bool counts,
                                   const LatentGradients<T>& to) {
  using C = compute_t<T>;
  const C mu = counts ? load(q.mu[i]) : C(0), logvar = counts ? load(q.logvar[i]) : C(0);
  if (q.prior_mu == nullptr) {
    to.mu[i] = store<T>(factor * mu);
    to.logvar[i] = store<T>(factor * gaussian_kl_grad_logvar(exp(C(0.5) * logvar)));
    return;
  }
  const C prior_mu = counts ? load(q.prior_mu[i]) : C(0), prior_logvar = counts ? load(q.prior_logvar[i]) : C(0);
  const auto k = kl_slopes(in_prior_units<C>(mu, logvar, prior_mu, prior_logvar));
  to.mu[i] = store<T>(factor * k.mu);
  to.logvar[i] = store<T>(factor * k.logvar);
  to.prior_mu[i] = store<T>(-factor * k.mu);
  to.prior_logvar[i] = store<T>(factor * k.prior_logvar);
}

template <int G, int pack, class T>
__global__ void __launch_bounds__(kThreads, kBlocksPerProcessor) vae_loss_backward_kernel(const Backward<T> b) {
  using C = compute_t<T>;
  const int64_t row = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) / G;
  const auto thread = static_cast<int>(threadIdx.x % G);
  if (row >= b.B) return;
  const C by_logits = b.factors.logits(row), by_latents = b.factors.latents(row);
  const bool counts = b.factors.counts(row);
  for (int64_t i = row * b.P + int64_t{thread} * pack; i < (row + 1) * b.P; i += G * pack) {
    auto values = load_pack<pack>(b.gradient + i);
#pragma unroll
    for (int k = 0; k < pack; ++k) values.values[k] = store<T>(by_logits * load(values.values[k]));
    store_pack(values, b.grad_logits + i);
  }
  for (int64_t i = row * b.latents.L + thread; i < (row + 1) * b.latents.L; i += G) {
    store_kl_gradients(b.latents, i, by_latents, counts, b.grad_latents);
  }
}

}  // namespace
}  // namespace latentcore
