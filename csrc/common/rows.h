// A tensor (..., L) seen as rows of L, and the checks that the CPU and the CUDA operator of `reparameterize` share.
#pragma once

#include "common/checks.h"
#include "common/dispatch.h"

namespace latentcore {

struct Rows {
  int64_t count;
  int64_t length;
};

// The sizes but the last.
inline torch::headeronly::IntHeaderOnlyArrayRef leading_sizes(const Tensor& tensor) {
  return tensor.sizes().slice(0, static_cast<size_t>(tensor.dim() - 1));
}

inline Rows rows_of(const Tensor& tensor) {
  int64_t count = 1;
  for (const int64_t size : leading_sizes(tensor)) count *= size;
  return {count, tensor.size(tensor.dim() - 1)};
}

inline void check_reparameterize(const Tensor& mu, const Tensor& logvar, const Tensor& seed) {
  STD_TORCH_CHECK(mu.dim() >= 1, "mu: expected at least 1 dimension, got 0");
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
