#include "cpu/simd/vae_loss.h"

#include <string>
#include <tuple>

#include "common/checks.h"
#include "common/dispatch.h"
#include "cpu/parallel.h"

namespace latentcore {
namespace {

// Elements of one row of (B, ...).
int64_t row_length(const Tensor& tensor) {
  int64_t length = 1;
  for (int64_t i = 1; i < tensor.dim(); ++i) length *= tensor.size(i);
  return length;
}

// What scales the Gaussian term; 0 stands for the Bernoulli likelihood.
double inverse_variance(const std::string& likelihood, double scale) {
  if (likelihood == "bernoulli") return 0.0;
  STD_TORCH_CHECK(likelihood == "gaussian", "likelihood: expected 'bernoulli' or 'gaussian', got '", likelihood, "'");
  STD_TORCH_CHECK(scale > 0, "scale: expected a positive number, got ", scale);
  return 1.0 / (scale * scale);
}

void check_latents(const Tensor& mu, const Tensor& logvar) {
  check_dim(mu, 2, "mu");
  check_like(logvar, mu, "logvar", "mu");
}

std::tuple<Tensor, Tensor, Tensor> vae_loss(const Tensor& logits_, const Tensor& target_, const Tensor& mu_,
                                            const Tensor& logvar_, std::string likelihood, double scale,
                                            bool with_gradient) {
  STD_TORCH_CHECK(logits_.dim() >= 1, "logits: expected at least 1 dimension, got 0");
  STD_TORCH_CHECK(same_sizes(target_, logits_), "target: expected the shape of logits");
  STD_TORCH_CHECK(target_.device() == logits_.device(), "target: expected the device of logits");
  const bool bytes = target_.scalar_type() == ScalarType::Byte;
  if (!bytes) check_dtype(target_, logits_.scalar_type(), "target");
  check_latents(mu_, logvar_);
  check_dtype(mu_, logits_.scalar_type(), "mu");
  check_size(mu_, 0, logits_.size(0), "mu");
  const double weight = inverse_variance(likelihood, scale);

  const Tensor logits = torch::stable::contiguous(logits_);
  const Tensor target = torch::stable::contiguous(target_);
  const Tensor mu = torch::stable::contiguous(mu_);
  const Tensor logvar = torch::stable::contiguous(logvar_);
  const int64_t B = logits.size(0), P = row_length(logits), L = mu.size(1);
  const ScalarType sum_type = compute_dtype(logits.scalar_type());
  const Tensor reconstruction = torch::stable::new_empty(logits, {B}, sum_type);
  const Tensor kl = torch::stable::new_empty(logits, {B}, sum_type);
  const Tensor gradient = with_gradient ? torch::stable::empty_like(logits) : torch::stable::new_empty(logits, {0});

  dispatch_floating(logits.scalar_type(), "logits", [&](auto type) {
    using T = typename decltype(type)::type;
    using C = compute_t<T>;
    const auto loop = loops<VaeLossLoops<T>>();
    parallel(B, 4 * P + 4 * L, [&](int64_t begin, int64_t end) {
      loop.reconstruction(data<T>(logits), target.const_data_ptr(), bytes, weight, begin, end, P,
                          mutable_data<C>(reconstruction), with_gradient ? mutable_data<T>(gradient) : nullptr);
      loop.kl(data<T>(mu), data<T>(logvar), begin, end, L, mutable_data<C>(kl));
    });
  });
  return {reconstruction, kl, gradient};
}

std::tuple<Tensor, Tensor, Tensor> vae_loss_backward(const Tensor& grad_reconstruction_, const Tensor& grad_kl_,
                                                     const Tensor& gradient_, const Tensor& mu_,
                                                     const Tensor& logvar_) {
  check_latents(mu_, logvar_);
  const ScalarType sum_type = compute_dtype(mu_.scalar_type());
  const int64_t B = mu_.size(0);
  STD_TORCH_CHECK(gradient_.dim() >= 1, "gradient: expected at least 1 dimension, got 0");
  check_size(gradient_, 0, B, "gradient");
  check_dtype(gradient_, mu_.scalar_type(), "gradient");
  for (const Tensor* factor : {&grad_reconstruction_, &grad_kl_}) {
    check_dim(*factor, 1, "grad");
    check_size(*factor, 0, B, "grad");
    check_dtype(*factor, sum_type, "grad");
  }
  const Tensor grad_reconstruction = torch::stable::contiguous(grad_reconstruction_);
  const Tensor grad_kl = torch::stable::contiguous(grad_kl_);
  const Tensor gradient = torch::stable::contiguous(gradient_);
  const Tensor mu = torch::stable::contiguous(mu_);
  const Tensor logvar = torch::stable::contiguous(logvar_);
  const Tensor grad_logits = torch::stable::empty_like(gradient);
  const Tensor grad_mu = torch::stable::empty_like(mu);
  const Tensor grad_logvar = torch::stable::empty_like(mu);
  const int64_t P = row_length(gradient), L = mu.size(1);

  dispatch_floating(mu.scalar_type(), "mu", [&](auto type) {
    using T = typename decltype(type)::type;
    using C = compute_t<T>;
    const auto loop = loops<VaeLossLoops<T>>();
    parallel(B, P + 2 * L, [&](int64_t begin, int64_t end) {
      loop.scale(data<C>(grad_reconstruction), data<T>(gradient), begin, end, P, mutable_data<T>(grad_logits));
      loop.kl_gradient(data<C>(grad_kl), data<T>(mu), data<T>(logvar), begin, end, L, mutable_data<T>(grad_mu),
                       mutable_data<T>(grad_logvar));
    });
  });
  return {grad_logits, grad_mu, grad_logvar};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(latentcore, CPU, m) {
  m.impl("vae_loss", TORCH_BOX(&vae_loss));
  m.impl("vae_loss_backward", TORCH_BOX(&vae_loss_backward));
}

}  // namespace latentcore
