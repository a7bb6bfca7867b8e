// A tensor (..., L) seen as rows of L, and the checks that the CPU and the CUDA operator of `reparameterize` share.
#pragma once

#include "common/checks.h"
#include "common/dispatch.h"
#include "common/sizes.h"

namespace latentcore {

struct Rows {
  int64_t count;
  int64_t length;
};

inline Rows rows_of(const Tensor& tensor) {
  return {elements_of(leading_sizes(tensor, 1), "mu"), tensor.size(tensor.dim() - 1)};
}

inline void check_reparameterize(const Tensor& mu, const Tensor& logvar, const Tensor& seed) {
  STD_TORCH_CHECK(mu.dim() >= 1, "mu: expected at least 1 dimension, got 0");
  elements_of(mu.sizes(), "mu");
  check_like(logvar, mu, "logvar", "mu");
  check_dtype(seed, ScalarType::Long, "seed");
  STD_TORCH_CHECK(seed.numel() == 1, "seed: expected 1 element, got ", seed.numel());
  STD_TORCH_CHECK(seed.device() == mu.device(), "seed: expected the device of mu");
}

inline void check_reparameterize_grads(const Tensor& grad_z, const Tensor& grad_kl, const Tensor& mu) {
  check_like(grad_z, mu, "grad_z", "mu");
  check_dtype(grad_kl, compute_dtype(mu.scalar_type()), "grad_kl");
  const int64_t rows = rows_of(mu).count;
  STD_TORCH_CHECK(grad_kl.numel() == rows, "grad_kl: expected ", rows, " elements, got ", grad_kl.numel());
  STD_TORCH_CHECK(grad_kl.device() == mu.device(), "grad_kl: expected the device of mu");
}

}  // namespace latentcore
