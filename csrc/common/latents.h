// Tensors (..., L) of latents, and the checks that the CPU and the CUDA operators of them share.
#pragma once

#include <optional>
#include <vector>

#include "common/rows.h"
#include "math/latents.h"

namespace latentcore {

// The prior N(prior_mu, exp(prior_logvar)) of latents; without its tensors it is N(0, 1).
inline void check_prior(const std::optional<Tensor>& prior_mu, const std::optional<Tensor>& prior_logvar,
                        const Tensor& mu) {
  STD_TORCH_CHECK(prior_mu.has_value() == prior_logvar.has_value(),
                  "prior_logvar: expected both prior_mu and it, or none");
  if (!prior_mu) return;
  check_like(*prior_mu, mu, "prior_mu", "mu");
  check_like(*prior_logvar, mu, "prior_logvar", "mu");
}

// The latents of a call, checked and contiguous; what points into them is valid as long as they are.
struct LatentTensors {
  Tensor mu, logvar;
  std::optional<Tensor> prior_mu, prior_logvar;
  Rows rows;

  LatentTensors(const Tensor& mu_, const Tensor& logvar_, const std::optional<Tensor>& prior_mu_,
                const std::optional<Tensor>& prior_logvar_) {
    rows = rows_of(mu_, "mu");
    check_like(logvar_, mu_, "logvar", "mu");
    check_prior(prior_mu_, prior_logvar_, mu_);
    mu = as_contiguous(mu_);
    logvar = as_contiguous(logvar_);
    if (prior_mu_) prior_mu = as_contiguous(*prior_mu_);
    if (prior_logvar_) prior_logvar = as_contiguous(*prior_logvar_);
  }

  // Pointers to the latents of row `row` and those after it.
  template <class T>
  Latents<T> from(int64_t row = 0) const {
    const int64_t first = row * rows.length;
    return {data<T>(mu) + first, data<T>(logvar) + first, prior_mu ? data<T>(*prior_mu) + first : nullptr,
            prior_logvar ? data<T>(*prior_logvar) + first : nullptr, rows.length};
  }

  // Gradients to be filled: of mu and logvar, and of the prior's where there is one.
  std::vector<Tensor> new_gradients() const {
    std::vector<Tensor> gradients;
    for (int i = 0; i < (prior_mu ? 4 : 2); ++i) gradients.push_back(torch::stable::empty_like(mu));
    return gradients;
  }

  // Pointers to these, from row `row` on.
  template <class T>
  LatentGradients<T> into(const std::vector<Tensor>& gradients, int64_t row = 0) const {
    const auto at = [&](size_t i) {
      return i < gradients.size() ? mutable_data<T>(gradients[i]) + row * rows.length : nullptr;
    };
    return {at(0), at(1), at(2), at(3)};
  }
};

// Several seeds divide the rows into as many equal parts. Each part draws the noise that it would draw alone.
inline int64_t rows_per_seed(const Tensor& seed, const LatentTensors& q) {
  check_dtype(seed, ScalarType::Long, "seed");
  STD_TORCH_CHECK(seed.device() == q.mu.device(), "seed: expected the device of mu");
  const int64_t seeds = seed.numel();
  if (q.rows.count == 0) return 0;
  STD_TORCH_CHECK(seeds >= 1 && q.rows.count % seeds == 0, "seed: expected 1 element, or a number that divides ",
                  q.rows.count, " rows, got ", seeds);
  return q.rows.count / seeds;
}

inline void check_reparameterize_grads(const Tensor& grad_z, const Tensor& grad_kl, bool per_latent, const Tensor& mu) {
  check_like(grad_z, mu, "grad_z", "mu");
  check_grad_of_sums(grad_kl, per_latent ? mu.numel() : rows_of(mu, "mu").count, mu, "grad_kl", "mu");
}

}  // namespace latentcore
