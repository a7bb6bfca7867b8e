#include "cpu/simd/reparameterize.h"

#include <tuple>

#include "common/rows.h"
#include "cpu/huge_pages.h"
#include "cpu/parallel.h"

namespace latentcore {
namespace {

uint64_t seed_value(const Tensor& seed) { return static_cast<uint64_t>(*data<int64_t>(seed)); }

std::tuple<Tensor, Tensor> reparameterize_kl(const Tensor& mu_, const Tensor& logvar_, const Tensor& seed,
                                             int64_t offset) {
  check_reparameterize(mu_, logvar_, seed);
  STD_TORCH_CHECK(offset >= 0, "offset: expected a number >= 0, got ", offset);
  const Tensor mu = as_contiguous(mu_);
  const Tensor logvar = as_contiguous(logvar_);
  const Tensor z = advise_huge_pages(torch::stable::empty_like(mu));
  Tensor kl = allocate(mu, leading_sizes(mu, 1), compute_dtype(mu.scalar_type()));
  const auto [rows, L] = rows_of(mu);
  if (L == 0) return {z, torch::stable::zero_(kl)};

  dispatch_floating(mu.scalar_type(), "mu", [&, rows = rows, L = L](auto type) {
    using T = typename decltype(type)::type;
    const auto forward = loops<ReparameterizeLoops<T>>().forward;
    parallel(rows, cost_of({4, L}), [&](int64_t begin, int64_t end) {
      forward(data<T>(mu), data<T>(logvar), seed_value(seed), static_cast<uint64_t>(offset), begin, end, L,
              mutable_data<T>(z), mutable_data<compute_t<T>>(kl));
    });
  });
  return {z, kl};
}

std::tuple<Tensor, Tensor> reparameterize_kl_backward(const Tensor& grad_z_, const Tensor& grad_kl_, const Tensor& mu_,
                                                      const Tensor& logvar_, const Tensor& seed, int64_t offset) {
  check_reparameterize(mu_, logvar_, seed);
  check_reparameterize_grads(grad_z_, grad_kl_, mu_);
  const Tensor mu = as_contiguous(mu_);
  const Tensor logvar = as_contiguous(logvar_);
  const Tensor grad_z = as_contiguous(grad_z_);
  const Tensor grad_kl = as_contiguous(grad_kl_);
  const Tensor grad_mu = advise_huge_pages(torch::stable::empty_like(mu));
  const Tensor grad_logvar = advise_huge_pages(torch::stable::empty_like(mu));
  const auto [rows, L] = rows_of(mu);
  if (L == 0) return {grad_mu, grad_logvar};

  dispatch_floating(mu.scalar_type(), "mu", [&, rows = rows, L = L](auto type) {
    using T = typename decltype(type)::type;
    const auto backward = loops<ReparameterizeLoops<T>>().backward;
    parallel(rows, cost_of({4, L}), [&](int64_t begin, int64_t end) {
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
