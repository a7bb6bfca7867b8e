#include <optional>

#include "common/vae_loss.h"
#include "cuda/device.cuh"
#include "cuda/operator.h"
#include "cuda/packs.cuh"
#include "math/gaussian.h"
#include "math/likelihood.h"

namespace latentcore {
namespace {

constexpr int kThreads = 256;
constexpr int kBlocksPerProcessor = 4;  // up to 64 registers a thread
constexpr int64_t kLongRow = 2048;      // elements from which on a row is worth a block

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

template <bool gaussian, class C>
__device__ Term<C> term(C logit, C target, C weight) {
  if constexpr (gaussian) {
    return gaussian_term(logit, target, weight);
  } else {
    return bernoulli_term(logit, target);
  }
}

template <class T, class Target>
struct Forward {
  using C = compute_t<T>;
  const T* logits;
  const Target* target;
  const T *mu, *logvar;
  int64_t B, P, L;
  C weight, factor, beta;
  C *loss, *reconstruction, *kl;  // of the rows; no loss where they are averaged later
  T* gradient;                    // or nullptr
};

// Reconstruction of one row by a group: `pack` elements at a time.
template <bool gaussian, int G, int pack, class T, class Target>
__device__ double reconstruct(const Forward<T, Target>& f, int64_t row, int thread) {
  using C = compute_t<T>;
  Sum<C> sum;
  for (int64_t i = row * f.P + int64_t{thread} * pack; i < (row + 1) * f.P; i += G * pack) {
    const auto logits = load_pack<pack>(f.logits + i);
    const auto targets = load_pack<pack>(f.target + i);
    Pack<T, pack> gradient;
#pragma unroll
    for (int k = 0; k < pack; ++k) {
      const auto x = target_value<gaussian, C>(targets.values[k]);
      const auto found = term<gaussian>(load(logits.values[k]), x, f.weight);
      sum.add(found.value);
      gradient.values[k] = store<T>(f.factor * found.gradient);
    }
    if (f.gradient != nullptr) store_pack(gradient, f.gradient + i);
  }
  sum.flush();
  return sum.total;
}

template <bool gaussian, int G, int pack, class T, class Target>
__global__ void __launch_bounds__(kThreads, kBlocksPerProcessor) vae_loss_kernel(const Forward<T, Target> f) {
  using C = compute_t<T>;
  const int64_t row = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) / G;
  const auto thread = static_cast<int>(threadIdx.x % G);
  double reconstruction = 0, kl = 0;
  if (row < f.B) {
    reconstruction = reconstruct<gaussian, G, pack>(f, row, thread);
    Sum<C> sum;
    for (int64_t i = row * f.L + thread; i < (row + 1) * f.L; i += G) {
      const C logvar = load(f.logvar[i]);
      sum.add(gaussian_kl(static_cast<C>(load(f.mu[i])), logvar, exp(C(0.5) * logvar)));
    }
    sum.flush();
    kl = sum.total;
  }
  reconstruction = row_sum<G>(reconstruction);
  kl = row_sum<G>(kl);
  if (row >= f.B || thread != 0) return;
  f.reconstruction[row] = static_cast<C>(reconstruction);
  f.kl[row] = static_cast<C>(kl);
  if (f.loss != nullptr) f.loss[row] = static_cast<C>(reconstruction) + f.beta * static_cast<C>(kl);
}

// The means over the rows, in a fixed order: one block.
template <class C>
__global__ void __launch_bounds__(kThreads, kBlocksPerProcessor)
    vae_loss_mean_kernel(const C* reconstruction_rows, const C* kl_rows, int64_t B, double beta, C* loss,
                         C* reconstruction, C* kl) {
  double reconstruction_sum = 0, kl_sum = 0;
  for (int64_t row = threadIdx.x; row < B; row += kThreads) {
    reconstruction_sum += static_cast<double>(reconstruction_rows[row]);
    kl_sum += static_cast<double>(kl_rows[row]);
  }
  reconstruction_sum = block_sum<kThreads>(reconstruction_sum);
  kl_sum = block_sum<kThreads>(kl_sum);
  if (threadIdx.x != 0) return;
  const auto count = static_cast<double>(B);
  *reconstruction = static_cast<C>(reconstruction_sum / count);
  *kl = static_cast<C>(kl_sum / count);
  *loss = static_cast<C>((reconstruction_sum + beta * kl_sum) / count);
}

// What the gradients of a row are multiplied by; no gradient is none.
template <class C>
struct Factors {
  const C *loss, *reconstruction, *kl;
  C rest, per_row, beta;
  bool mean;

  __device__ C value(const C* grad, int64_t row) const { return grad == nullptr ? C(0) : grad[mean ? 0 : row]; }
  __device__ C logits(int64_t row) const { return rest * (value(loss, row) + value(reconstruction, row)); }
  __device__ C latents(int64_t row) const { return per_row * (beta * value(loss, row) + value(kl, row)); }
};

template <class T>
struct Backward {
  const T *gradient, *mu, *logvar;
  int64_t B, P, L;
  Factors<compute_t<T>> factors;
  T *grad_logits, *grad_mu, *grad_logvar;
};

template <int G, int pack, class T>
__global__ void __launch_bounds__(kThreads, kBlocksPerProcessor) vae_loss_backward_kernel(const Backward<T> b) {
  using C = compute_t<T>;
  const int64_t row = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) / G;
  const auto thread = static_cast<int>(threadIdx.x % G);
  if (row >= b.B) return;
  const C by_logits = b.factors.logits(row), by_latents = b.factors.latents(row);
  for (int64_t i = row * b.P + int64_t{thread} * pack; i < (row + 1) * b.P; i += G * pack) {
    auto values = load_pack<pack>(b.gradient + i);
#pragma unroll
    for (int k = 0; k < pack; ++k) values.values[k] = store<T>(by_logits * load(values.values[k]));
    store_pack(values, b.grad_logits + i);
  }
  for (int64_t i = row * b.L + thread; i < (row + 1) * b.L; i += G) {
    const C std = exp(C(0.5) * load(b.logvar[i]));
    b.grad_mu[i] = store<T>(by_latents * load(b.mu[i]));
    b.grad_logvar[i] = store<T>(by_latents * gaussian_kl_grad_logvar(std));
  }
}

// Calls body(G, pack) as constants: the threads of a row, and how many elements are read at once.
template <int pack, class Body>
void dispatch_row(int64_t P, bool packed, const Body& body) {
  const auto with_pack = [&](auto group) {
    if (packed) {
      body(group, std::integral_constant<int, pack>{});
    } else {
      body(group, std::integral_constant<int, 1>{});
    }
  };
  if (P < kLongRow) {
    with_pack(std::integral_constant<int, kWarp>{});
  } else {
    with_pack(std::integral_constant<int, kThreads>{});
  }
}

Launch launch_of_rows(int64_t B, int G, const Tensor& tensor) {
  const int64_t blocks = (B * G + kThreads - 1) / kThreads;
  STD_TORCH_CHECK(blocks < (int64_t{1} << 31), "logits: expected fewer rows, got ", B);
  return {static_cast<unsigned int>(blocks), kThreads, 0, current_stream(tensor)};
}

template <class T, class Target>
void launch_forward(const Forward<T, Target>& f, bool gaussian, const Tensor& logits) {
  constexpr int pack = kPackSize<T, Target>;
  const bool packed = rows_are_packed(f.logits, f.P, sizeof(T), pack) &&
                      rows_are_packed(f.target, f.P, sizeof(Target), pack) &&
                      rows_are_packed(f.gradient, f.P, sizeof(T), pack);
  dispatch_row<pack>(f.P, packed, [&](auto group, auto size) {
    const Launch where = launch_of_rows(f.B, group, logits);
    if (gaussian) {
      launch(where, vae_loss_kernel<true, group(), size(), T, Target>, f);
    } else {
      launch(where, vae_loss_kernel<false, group(), size(), T, Target>, f);
    }
  });
  check_launch("vae_loss");
}

std::tuple<Tensor, Tensor, Tensor, Tensor> vae_loss(const Tensor& logits_, const Tensor& target_, const Tensor& mu_,
                                                    const Tensor& logvar_, double beta, std::string likelihood,
                                                    double scale, bool mean, bool with_gradient) {
  const VaeLoss call(logits_, target_, mu_, logvar_, likelihood, scale, mean);
  const DeviceGuard guard(logits_.get_device_index());
  const auto results = call.new_results();
  const Tensor gradient = with_gradient ? torch::stable::empty_like(call.logits) : allocate(call.logits, {0});
  if (call.B == 0) return std::tuple_cat(results, std::tuple{gradient});
  const auto [loss, reconstruction, kl] = results;
  const ScalarType sum_type = compute_dtype(call.logits.scalar_type());
  const Tensor rows = allocate(call.logits, {mean ? 2 : 0, call.B}, sum_type);

  dispatch_floating(call.logits.scalar_type(), "logits", [&](auto type) {
    using T = typename decltype(type)::type;
    using C = compute_t<T>;
    C* reconstruction_rows = mutable_data<C>(mean ? rows : reconstruction);
    C* kl_rows = mean ? reconstruction_rows + call.B : mutable_data<C>(kl);
    const auto factor = static_cast<C>(gradient_factor(call.logits.scalar_type(), mean, call.B));
    const auto run = [&]<class Target>(Type<Target>) {
      launch_forward<T, Target>(
          {data<T>(call.logits), data<Target>(call.target), data<T>(call.mu), data<T>(call.logvar), call.B, call.P,
           call.L, static_cast<C>(call.weight), factor, static_cast<C>(beta), mean ? nullptr : mutable_data<C>(loss),
           reconstruction_rows, kl_rows, with_gradient ? mutable_data<T>(gradient) : nullptr},
          call.gaussian, call.logits);
    };
    if (call.bytes) {
      run(Type<uint8_t>{});
    } else {
      run(Type<T>{});
    }
    if (!mean) return;
    launch({1, kThreads, 0, current_stream(call.logits)}, vae_loss_mean_kernel<C>, reconstruction_rows, kl_rows, call.B,
           beta, mutable_data<C>(loss), mutable_data<C>(reconstruction), mutable_data<C>(kl));
    check_launch("vae_loss");
  });
  return {loss, reconstruction, kl, gradient};
}

template <class C>
const C* grad_data(const std::optional<Tensor>& grad) {
  return grad ? data<C>(*grad) : nullptr;
}

std::optional<Tensor> checked_grad(const std::optional<Tensor>& grad, int64_t size, const Tensor& mu) {
  if (!grad) return {};
  check_vae_loss_grad(*grad, size, compute_dtype(mu.scalar_type()));
  STD_TORCH_CHECK(grad->device() == mu.device(), "grad: expected the device of mu");
  return as_contiguous(*grad);
}

std::tuple<Tensor, Tensor, Tensor> vae_loss_backward(const std::optional<Tensor>& grad_loss_,
                                                     const std::optional<Tensor>& grad_reconstruction_,
                                                     const std::optional<Tensor>& grad_kl_, const Tensor& gradient_,
                                                     const Tensor& mu_, const Tensor& logvar_, double beta, bool mean) {
  check_vae_loss_backward(gradient_, mu_, logvar_);
  const DeviceGuard guard(mu_.get_device_index());
  const Tensor gradient = as_contiguous(gradient_), mu = as_contiguous(mu_), logvar = as_contiguous(logvar_);
  const int64_t B = mu.size(0), size = mean ? 1 : B;
  const auto grad_loss = checked_grad(grad_loss_, size, mu), grad_kl = checked_grad(grad_kl_, size, mu);
  const auto grad_reconstruction = checked_grad(grad_reconstruction_, size, mu);
  const Tensor grad_logits = torch::stable::empty_like(gradient);
  const Tensor grad_mu = torch::stable::empty_like(mu), grad_logvar = torch::stable::empty_like(mu);
  if (B == 0) return {grad_logits, grad_mu, grad_logvar};

  dispatch_floating(mu.scalar_type(), "mu", [&](auto type) {
    using T = typename decltype(type)::type;
    using C = compute_t<T>;
    const double per_row = mean ? 1.0 / static_cast<double>(B) : 1.0;
    const double rest = per_row / gradient_factor(mu.scalar_type(), mean, B);
    const Factors<C> factors{grad_data<C>(grad_loss),
                             grad_data<C>(grad_reconstruction),
                             grad_data<C>(grad_kl),
                             static_cast<C>(rest),
                             static_cast<C>(per_row),
                             static_cast<C>(beta),
                             mean};
    const Backward<T> b{data<T>(gradient),
                        data<T>(mu),
                        data<T>(logvar),
                        B,
                        row_length(gradient),
                        mu.size(1),
                        factors,
                        mutable_data<T>(grad_logits),
                        mutable_data<T>(grad_mu),
                        mutable_data<T>(grad_logvar)};
    constexpr int pack = kPackSize<T, T>;
    const bool packed =
        rows_are_packed(b.gradient, b.P, sizeof(T), pack) && rows_are_packed(b.grad_logits, b.P, sizeof(T), pack);
    dispatch_row<pack>(b.P, packed, [&](auto group, auto elements) {
      launch(launch_of_rows(B, group, mu), vae_loss_backward_kernel<group(), elements(), T>, b);
    });
    check_launch("vae_loss_backward");
  });
  return {grad_logits, grad_mu, grad_logvar};
}

}  // namespace

LATENTCORE_CUDA_OPERATORS(m) {
  m.impl("vae_loss", TORCH_BOX(&vae_loss));
  m.impl("vae_loss_backward", TORCH_BOX(&vae_loss_backward));
}

}  // namespace latentcore
