#include "cpu/simd/reparameterize.h"

#include <tuple>

#include "common/checks.h"
#include "common/dispatch.h"
#include "cpu/parallel.h"

namespace latentcore {
namespace {

struct Rows {
  int64_t count;
  int64_t length;
};

// (..., L) as rows of L
Rows rows_of(const Tensor& tensor) {
  const int64_t length = tensor.size(tensor.dim() - 1);
  int64_t count = 1;
  for (int64_t i = 0; i + 1 < tensor.dim(); ++i) count *= tensor.size(i);
  return {count, length};
}

void check_arguments(const Tensor& mu, const Tensor& logvar, const Tensor& seed) {
  STD_TORCH_CHECK(mu.dim() >= 1, "mu: expected at least 1 dimension, got 0");
  check_like(logvar, mu, "logvar", "mu");
  check_dtype(seed, ScalarType::Long, "seed");
  STD_TORCH_CHECK(seed.numel() == 1, "seed: expected 1 element, got ", seed.numel());
  STD_TORCH_CHECK(seed.device() == mu.device(), "seed: expected the device of mu");
}

uint64_t seed_value(const Tensor& seed) { return static_cast<uint64_t>(*data<int64_t>(seed)); }

std::tuple<Tensor, Tensor> reparameterize_kl(const Tensor& mu_, const Tensor& logvar_, const Tensor& seed,
                                             int64_t offset) {
  check_arguments(mu_, logvar_, seed);
  const Tensor mu = torch::stable::contiguous(mu_);
  const Tensor logvar = torch::stable::contiguous(logvar_);
  const Tensor z = torch::stable::empty_like(mu);
  const auto kl_size = mu.sizes().slice(0, static_cast<size_t>(mu.dim() - 1));
  Tensor kl = torch::stable::new_empty(mu, kl_size, compute_dtype(mu.scalar_type()));
  const auto [rows, L] = rows_of(mu);
  if (L == 0) return {z, torch::stable::zero_(kl)};

  dispatch_floating(mu.scalar_type(), "mu", [&, rows = rows, L = L](auto type) {
    using T = typename decltype(type)::type;
    const auto forward = loops<ReparameterizeLoops<T>>().forward;
    parallel(rows, 4 * L, [&](int64_t begin, int64_t end) {
      forward(data<T>(mu), data<T>(logvar), seed_value(seed), static_cast<uint64_t>(offset), begin, end, L,
              mutable_data<T>(z), mutable_data<compute_t<T>>(kl));
    });
  });
  return {z, kl};
}

std::tuple<Tensor, Tensor> reparameterize_kl_backward(const Tensor& grad_z_, const Tensor& grad_kl_, const Tensor& mu_,
                                                      const Tensor& logvar_, const Tensor& seed, int64_t offset) {
  check_arguments(mu_, logvar_, seed);
  check_like(grad_z_, mu_, "grad_z", "mu");
  check_dtype(grad_kl_, compute_dtype(mu_.scalar_type()), "grad_kl");
  const Tensor mu = torch::stable::contiguous(mu_);
  const Tensor logvar = torch::stable::contiguous(logvar_);
  const Tensor grad_z = torch::stable::contiguous(grad_z_);
  const Tensor grad_kl = torch::stable::contiguous(grad_kl_);
  const Tensor grad_mu = torch::stable::empty_like(mu);
  const Tensor grad_logvar = torch::stable::empty_like(mu);
  const auto [rows, L] = rows_of(mu);
  STD_TORCH_CHECK(grad_kl.numel() == rows, "grad_kl: expected ", rows, " elements, got ", grad_kl.numel());
  if (L == 0) return {grad_mu, grad_logvar};

  dispatch_floating(mu.scalar_type(), "mu", [&, rows = rows, L = L](auto type) {
    using T = typename decltype(type)::type;
    const auto backward = loops<ReparameterizeLoops<T>>().backward;
    parallel(rows, 4 * L, [&](int64_t begin, int64_t end) {
      backward(data<T>(grad_z), data<compute_t<T>>(grad_kl), data<T>(mu), data<T>(logvar), seed_value(seed),
               static_cast<uint64_t>(offset), begin, end, L, mutable_data<T>(grad_mu), mutable_data<T>(grad_logvar));
    });
  });
  return {grad_mu, grad_logvar};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(latentcore, CPU, m) {
  m.impl("reparameterize_kl", TORCH_BOX(&reparameterize_kl));
  m.impl("reparameterize_kl_backward", TORCH_BOX(&reparameterize_kl_backward));
}

}  // namespace latentcore
