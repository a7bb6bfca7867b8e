// What the CPU and the CUDA operator of `vae_loss` share: checks, shapes, and what is folded into the gradient.
#pragma once

#include <string>
#include <tuple>
#include <vector>

#include "common/checks.h"
#include "common/dispatch.h"
#include "common/sizes.h"

namespace latentcore {

// Elements of one row of (B, ...).
inline int64_t row_length(const Tensor& tensor) { return elements_of(tensor.sizes().slice(1), "a row"); }

// What scales the Gaussian term. A large scale makes it 0, so that it does not tell the two likelihoods apart.
inline double inverse_variance(const std::string& likelihood, double scale) {
  if (likelihood == "bernoulli") return 0.0;
  STD_TORCH_CHECK(likelihood == "gaussian", "likelihood: expected 'bernoulli' or 'gaussian', got '", likelihood, "'");
  STD_TORCH_CHECK(scale > 0, "scale: expected a positive number, got ", scale);
  return 1.0 / (scale * scale);
}

inline void check_latents(const Tensor& mu, const Tensor& logvar) {
  check_dim(mu, 2, "mu");
  elements_of(mu.sizes(), "mu");
  check_like(logvar, mu, "logvar", "mu");
}

// A mean over the batch is folded into the gradient that the forward pass finds, but not in half types, whose small
// numbers would be lost before the caller's loss scale lifts them.
inline double gradient_factor(ScalarType dtype, bool mean, int64_t B) {
  return mean && compute_dtype(dtype) == dtype ? 1.0 / static_cast<double>(B) : 1.0;
}

// The arguments of the forward pass, checked and contiguous.
struct VaeLoss {
  Tensor logits, target, mu, logvar;
  bool bytes, mean, gaussian;  // the target is uint8
  double weight;               // of the Gaussian term
  int64_t B, P, L;

  VaeLoss(const Tensor& logits_, const Tensor& target_, const Tensor& mu_, const Tensor& logvar_,
          const std::string& likelihood, double scale, bool mean_)
      : bytes(target_.scalar_type() == ScalarType::Byte),
        mean(mean_),
        gaussian(likelihood == "gaussian"),
        weight(inverse_variance(likelihood, scale)) {
    STD_TORCH_CHECK(logits_.dim() >= 1, "logits: expected at least 1 dimension, got 0");
    elements_of(logits_.sizes(), "logits");
    STD_TORCH_CHECK(same_sizes(target_, logits_), "target: expected the shape of logits");
    STD_TORCH_CHECK(target_.device() == logits_.device(), "target: expected the device of logits");
    if (!bytes) check_dtype(target_, logits_.scalar_type(), "target");
    check_latents(mu_, logvar_);
    check_dtype(mu_, logits_.scalar_type(), "mu");
    check_size(mu_, 0, logits_.size(0), "mu");
    STD_TORCH_CHECK(mu_.device() == logits_.device(), "mu: expected the device of logits");
    STD_TORCH_CHECK(!mean || logits_.size(0) > 0, "logits: expected a batch with at least one sample for its mean");
    logits = as_contiguous(logits_);
    target = as_contiguous(target_);
    mu = as_contiguous(mu_);
    logvar = as_contiguous(logvar_);
    B = logits.size(0);
    P = row_length(logits);
    L = mu.size(1);
  }

  // loss, reconstruction and kl: of every row, or their means
  std::tuple<Tensor, Tensor, Tensor> new_results() const {
    const std::vector<int64_t> sizes = mean ? std::vector<int64_t>{} : std::vector<int64_t>{B};
    const ScalarType dtype = compute_dtype(logits.scalar_type());
    return {allocate(logits, sizes, dtype), allocate(logits, sizes, dtype), allocate(logits, sizes, dtype)};
  }
};

inline void check_vae_loss_backward(const Tensor& gradient, const Tensor& mu, const Tensor& logvar) {
  check_latents(mu, logvar);
  STD_TORCH_CHECK(gradient.dim() >= 1, "gradient: expected at least 1 dimension, got 0");
  elements_of(gradient.sizes(), "gradient");
  check_size(gradient, 0, mu.size(0), "gradient");
  check_dtype(gradient, mu.scalar_type(), "gradient");
  STD_TORCH_CHECK(gradient.device() == mu.device(), "gradient: expected the device of mu");
}

inline void check_vae_loss_grad(const Tensor& grad, int64_t size, ScalarType dtype) {
  check_dtype(grad, dtype, "grad");
  STD_TORCH_CHECK(grad.numel() == size, "grad: expected ", size, " elements, got ", grad.numel());
}

}  // namespace latentcore
