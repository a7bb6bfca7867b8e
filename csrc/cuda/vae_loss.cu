#include <optional>
#include <vector>

#include "common/vae_loss.h"
#include "cuda/operator.h"
#include "cuda/vae_loss_rows.cuh"

namespace latentcore {
namespace {

constexpr int64_t kLongRow = 2048;  // elements from which on a row is worth a block

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

template <bool gaussian, Call call, class T, class Target>
void launch_forward(const Forward<T, Target>& f, const Tensor& logits) {
  constexpr int pack = kPackSize<T, Target>;
  const bool packed = rows_are_packed(f.logits, f.P, sizeof(T), pack) &&
                      rows_are_packed(f.target, f.P, sizeof(Target), pack) &&
                      rows_are_packed(f.gradient, f.P, sizeof(T), pack);
  dispatch_row<pack>(f.P, packed, [&](auto group, auto size) {
    launch(launch_of_rows(f.B, group, logits), vae_loss_kernel<gaussian, call, group(), size(), T, Target>, f);
  });
  check_launch("vae_loss");
}

template <class T, class Target>
void dispatch_forward(const Forward<T, Target>& f, bool gaussian, const Tensor& logits) {
  const bool plain =
      f.mask == nullptr && f.pos_weight == nullptr && f.sample_weight == nullptr && f.latents.prior_mu == nullptr;
  if (gaussian) {
    plain ? launch_forward<true, Call::plain>(f, logits) : launch_forward<true, Call::any>(f, logits);
  } else {
    plain ? launch_forward<false, Call::plain>(f, logits) : launch_forward<false, Call::any>(f, logits);
  }
}

using OptionalTensor = std::optional<Tensor>;

std::tuple<Tensor, Tensor, Tensor, Tensor> vae_loss(const Tensor& logits, const Tensor& target, const Tensor& mu,
                                                    const Tensor& logvar, const OptionalTensor& prior_mu,
                                                    const OptionalTensor& prior_logvar, const OptionalTensor& mask,
                                                    const OptionalTensor& sample_weight,
                                                    const OptionalTensor& pos_weight, double beta,
                                                    std::string likelihood, double scale, bool mean,
                                                    bool with_gradient) {
  const PixelTensors pixels(logits, target, mask, sample_weight, pos_weight, likelihood, scale);
  const LatentTensors latents(mu, logvar, prior_mu, prior_logvar);
  check_latents(latents, logits);
  const DeviceGuard guard(logits.get_device_index());
  const auto results = new_terms(logits, mean);
  const Tensor gradient = with_gradient ? torch::stable::empty_like(pixels.logits) : allocate(logits, {0});
  const int64_t B = pixels.B;
  if (B == 0) return std::tuple_cat(results, std::tuple{gradient});
  const auto [loss, reconstruction, kl] = results;
  const ScalarType dtype = logits.scalar_type();
  const Tensor rows = allocate(logits, {mean ? 2 : 0, B}, compute_dtype(dtype));
  const double share = row_share(mean && !sample_weight, B);

  dispatch_floating(dtype, "logits", [&](auto type) {
    using T = typename decltype(type)::type;
    using C = compute_t<T>;
    C* reconstruction_rows = mutable_data<C>(mean ? rows : reconstruction);
    C* kl_rows = mean ? reconstruction_rows + B : mutable_data<C>(kl);
    const auto run = [&]<class Target>(Type<Target>) {
      const Forward<T, Target> f{data<T>(pixels.logits),
                                 data<Target>(pixels.target),
                                 latents.from<T>(),
                                 B,
                                 pixels.P,
                                 data_or_null<bool>(pixels.mask),
                                 data_or_null<C>(pixels.pos_weight),
                                 data_or_null<C>(pixels.sample_weight),
                                 folds_shares(dtype),
                                 static_cast<C>(pixels.weight),
                                 static_cast<C>(folds_shares(dtype) ? share : 1),
                                 static_cast<C>(beta),
                                 mean ? nullptr : mutable_data<C>(loss),
                                 reconstruction_rows,
                                 kl_rows,
                                 with_gradient ? mutable_data<T>(gradient) : nullptr};
      dispatch_forward(f, pixels.gaussian, logits);
    };
    if (pixels.bytes) {
      run(Type<uint8_t>{});
    } else {
      run(Type<T>{});
    }
    if (!mean) return;
    launch({1, kThreads, 0, current_stream(logits)}, vae_loss_mean_kernel<C>, reconstruction_rows, kl_rows, B,
           sample_weight ? 1.0 : static_cast<double>(B), beta, mutable_data<C>(loss), mutable_data<C>(reconstruction),
           mutable_data<C>(kl));
    check_launch("vae_loss");
  });
  return {loss, reconstruction, kl, gradient};
}

OptionalTensor checked_grad(const OptionalTensor& grad, int64_t size, const Tensor& mu) {
  if (!grad) return {};
  check_vae_loss_grad(*grad, size, compute_dtype(mu.scalar_type()));
  STD_TORCH_CHECK(grad->device() == mu.device(), "grad: expected the device of mu");
  return as_contiguous(*grad);
}

std::vector<Tensor> vae_loss_backward(const OptionalTensor& grad_loss_, const OptionalTensor& grad_reconstruction_,
                                      const OptionalTensor& grad_kl_, const OptionalTensor& gradient_, const Tensor& mu,
                                      const Tensor& logvar, const OptionalTensor& prior_mu,
                                      const OptionalTensor& prior_logvar, const OptionalTensor& sample_weight,
                                      double beta, bool mean) {
  const LatentTensors latents(mu, logvar, prior_mu, prior_logvar);
  check_vae_loss_backward(gradient_, latents, sample_weight);
  const DeviceGuard guard(mu.get_device_index());
  const OptionalTensor gradient = contiguous_or_none(gradient_), weights = contiguous_or_none(sample_weight);
  const int64_t B = latents.rows.count, size = mean ? 1 : B;
  const auto grad_loss = checked_grad(grad_loss_, size, mu), grad_kl = checked_grad(grad_kl_, size, mu);
  const auto grad_reconstruction = checked_grad(grad_reconstruction_, size, mu);
  const std::vector<Tensor> of_latents = latents.new_gradients();
  std::vector<Tensor> results;
  if (gradient) results.push_back(torch::stable::empty_like(*gradient));
  results.insert(results.end(), of_latents.begin(), of_latents.end());
  if (B == 0) return results;
  const ScalarType dtype = mu.scalar_type();
  const double share = row_share(mean && !weights, B);

  dispatch_floating(dtype, "mu", [&](auto type) {
    using T = typename decltype(type)::type;
    using C = compute_t<T>;
    const Factors<C> factors{data_or_null<C>(grad_loss),
                             data_or_null<C>(grad_reconstruction),
                             data_or_null<C>(grad_kl),
                             data_or_null<C>(weights),
                             folds_shares(dtype),
                             static_cast<C>(folds_shares(dtype) ? 1 : share),
                             static_cast<C>(share),
                             static_cast<C>(beta),
                             mean};
    const Backward<T> b{data_or_null<T>(gradient),
                        latents.from<T>(),
                        B,
                        gradient ? row_length(*gradient) : 0,
                        factors,
                        gradient ? mutable_data<T>(results[0]) : nullptr,
                        latents.into<T>(of_latents)};
    constexpr int pack = kPackSize<T, T>;
    const bool packed =
        rows_are_packed(b.gradient, b.P, sizeof(T), pack) && rows_are_packed(b.grad_logits, b.P, sizeof(T), pack);
    dispatch_row<pack>(b.P, packed, [&](auto group, auto elements) {
      launch(launch_of_rows(B, group, mu), vae_loss_backward_kernel<group(), elements(), T>, b);
    });
    check_launch("vae_loss_backward");
  });
  return results;
}

}  // namespace

LATENTCORE_CUDA_OPERATORS(m) {
  m.impl("vae_loss", TORCH_BOX(&vae_loss));
  m.impl("vae_loss_backward", TORCH_BOX(&vae_loss_backward));
}

}  // namespace latentcore
