// What the CPU and the CUDA operator of `vae_loss` share: checks, shapes, and what is folded into the gradient.
#pragma once

#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "common/checks.h"
#include "common/dispatch.h"
#include "common/latents.h"
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

// What a row counts: its weight, which a mean has been divided into already, or an equal part of the mean, or 1.
inline double row_share(bool mean, int64_t B) { return mean ? 1.0 / static_cast<double>(B) : 1.0; }

// What rows count is folded into the gradient that the forward pass finds, but not in half types, whose small numbers
// would be lost before the caller's loss scale lifts them.
inline bool folds_shares(ScalarType dtype) { return compute_dtype(dtype) == dtype; }

inline void check_sample_weight(const std::optional<Tensor>& weight, const Tensor& logits) {
  if (!weight) return;
  check_dtype(*weight, compute_dtype(logits.scalar_type()), "sample_weight");
  check_dim(*weight, 1, "sample_weight");
  check_size(*weight, 0, logits.size(0), "sample_weight");
  STD_TORCH_CHECK(weight->device() == logits.device(), "sample_weight: expected the device of logits");
}

inline void check_mask(const std::optional<Tensor>& mask, const Tensor& logits) {
  if (!mask) return;
  check_dtype(*mask, ScalarType::Bool, "mask");
  STD_TORCH_CHECK(same_sizes(*mask, logits), "mask: expected the shape of logits");
  STD_TORCH_CHECK(mask->device() == logits.device(), "mask: expected the device of logits");
}

inline void check_pos_weight(const std::optional<Tensor>& weight, const Tensor& logits, int64_t P, bool gaussian) {
  if (!weight) return;
  STD_TORCH_CHECK(!gaussian, "pos_weight: expected none for the likelihood 'gaussian'");
  check_dtype(*weight, compute_dtype(logits.scalar_type()), "pos_weight");
  STD_TORCH_CHECK(weight->numel() == P, "pos_weight: expected a number for each of ", P, " pixels, got ",
                  weight->numel());
  STD_TORCH_CHECK(weight->device() == logits.device(), "pos_weight: expected the device of logits");
}

inline std::optional<Tensor> contiguous_or_none(const std::optional<Tensor>& tensor) {
  if (!tensor) return {};
  return as_contiguous(*tensor);
}

template <class T>
const T* data_or_null(const std::optional<Tensor>& tensor) {
  return tensor ? data<T>(*tensor) : nullptr;
}

// The arguments of the forward pass that concern pixels, checked and contiguous.
struct PixelTensors {
  Tensor logits, target;
  std::optional<Tensor> mask, sample_weight, pos_weight;
  bool bytes, gaussian;  // the target is uint8
  double weight;         // of the Gaussian term
  int64_t B, P;

  PixelTensors(const Tensor& logits_, const Tensor& target_, const std::optional<Tensor>& mask_,
               const std::optional<Tensor>& sample_weight_, const std::optional<Tensor>& pos_weight_,
               const std::string& likelihood, double scale)
      : bytes(target_.scalar_type() == ScalarType::Byte),
        gaussian(likelihood == "gaussian"),
        weight(inverse_variance(likelihood, scale)) {
    STD_TORCH_CHECK(logits_.dim() >= 1, "logits: expected at least 1 dimension, got 0");
    elements_of(logits_.sizes(), "logits");
    STD_TORCH_CHECK(same_sizes(target_, logits_), "target: expected the shape of logits");
    STD_TORCH_CHECK(target_.device() == logits_.device(), "target: expected the device of logits");
    if (!bytes) check_dtype(target_, logits_.scalar_type(), "target");
    B = logits_.size(0);
    P = row_length(logits_);
    check_sample_weight(sample_weight_, logits_);
    check_mask(mask_, logits_);
    check_pos_weight(pos_weight_, logits_, P, gaussian);
    logits = as_contiguous(logits_);
    target = as_contiguous(target_);
    mask = contiguous_or_none(mask_);
    sample_weight = contiguous_or_none(sample_weight_);
    pos_weight = contiguous_or_none(pos_weight_);
  }
};

inline void check_latents(const LatentTensors& latents, const Tensor& logits) {
  check_dim(latents.mu, 2, "mu");
  check_dtype(latents.mu, logits.scalar_type(), "mu");
  check_size(latents.mu, 0, logits.size(0), "mu");
  STD_TORCH_CHECK(latents.mu.device() == logits.device(), "mu: expected the device of logits");
}

// loss, reconstruction and kl to be filled: of every row, or their means
inline std::tuple<Tensor, Tensor, Tensor> new_terms(const Tensor& logits, bool mean) {
  STD_TORCH_CHECK(!mean || logits.size(0) > 0, "logits: expected a batch with at least one sample for its mean");
  const std::vector<int64_t> sizes = mean ? std::vector<int64_t>{} : std::vector<int64_t>{logits.size(0)};
  const ScalarType dtype = compute_dtype(logits.scalar_type());
  return {allocate(logits, sizes, dtype), allocate(logits, sizes, dtype), allocate(logits, sizes, dtype)};
}

// `gradient` is what the forward pass has found, or none where nobody asks for the gradient of the logits.
inline void check_vae_loss_backward(const std::optional<Tensor>& gradient, const LatentTensors& latents,
                                    const std::optional<Tensor>& sample_weight) {
  check_dim(latents.mu, 2, "mu");
  check_sample_weight(sample_weight, latents.mu);
  if (!gradient) return;
  STD_TORCH_CHECK(gradient->dim() >= 1, "gradient: expected at least 1 dimension, got 0");
  elements_of(gradient->sizes(), "gradient");
  check_latents(latents, *gradient);
}

inline void check_vae_loss_grad(const Tensor& grad, int64_t size, ScalarType dtype) {
  check_dtype(grad, dtype, "grad");
  STD_TORCH_CHECK(grad.numel() == size, "grad: expected ", size, " elements, got ", grad.numel());
}

}  // namespace latentcore
