#include "cpu/simd/reparameterize.h"

#include <algorithm>
#include <optional>
#include <tuple>
#include <vector>

#include "common/latents.h"
#include "cpu/huge_pages.h"
#include "cpu/parallel.h"

namespace latentcore {
namespace {

using OptionalTensor = std::optional<Tensor>;

// Calls body(part, begin, end) on pieces of all rows, each within one of the parts of `length` rows that have a seed of
// their own, and counted from the beginning of its part.
template <class Body>
void parallel_in_parts(const Rows& rows, int64_t length, const Body& body) {
  parallel(rows.count, cost_of({4, rows.length}), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end;) {
      const int64_t part = row / length, first = part * length;
      const int64_t stop = std::min(end, first + length);
      body(part, row - first, stop - first);
      row = stop;
    }
  });
}

std::tuple<Tensor, Tensor> reparameterize_kl(const Tensor& mu, const Tensor& logvar, const OptionalTensor& prior_mu,
                                             const OptionalTensor& prior_logvar, const Tensor& seed_, int64_t offset,
                                             bool per_latent) {
  const LatentTensors q(mu, logvar, prior_mu, prior_logvar);
  STD_TORCH_CHECK(offset >= 0, "offset: expected a number >= 0, got ", offset);
  const Tensor z = advise_huge_pages(torch::stable::empty_like(q.mu));
  const ScalarType sum_type = compute_dtype(mu.scalar_type());
  Tensor kl = allocate(mu, per_latent ? mu.sizes() : leading_sizes(mu, 1), sum_type);
  const int64_t length = rows_per_seed(seed_, q), kl_length = per_latent ? q.rows.length : 1;
  if (q.rows.length == 0) return {z, torch::stable::zero_(kl)};
  const Tensor seed = as_contiguous(seed_);

  dispatch_floating(mu.scalar_type(), "mu", [&](auto type) {
    using T = typename decltype(type)::type;
    const auto forward = loops<ReparameterizeLoops<T>>().forward;
    parallel_in_parts(q.rows, length, [&](int64_t part, int64_t begin, int64_t end) {
      const int64_t first = part * length;
      forward(q.from<T>(first), static_cast<uint64_t>(data<int64_t>(seed)[part]), static_cast<uint64_t>(offset), begin,
              end, per_latent, mutable_data<T>(z) + first * q.rows.length,
              mutable_data<compute_t<T>>(kl) + first * kl_length);
    });
  });
  return {z, kl};
}

std::vector<Tensor> reparameterize_kl_backward(const Tensor& grad_z_, const Tensor& grad_kl_, const Tensor& mu,
                                               const Tensor& logvar, const OptionalTensor& prior_mu,
                                               const OptionalTensor& prior_logvar, const Tensor& seed_, int64_t offset,
                                               bool per_latent) {
  const LatentTensors q(mu, logvar, prior_mu, prior_logvar);
  check_reparameterize_grads(grad_z_, grad_kl_, per_latent, mu);
  const Tensor grad_z = as_contiguous(grad_z_), grad_kl = as_contiguous(grad_kl_);
  const std::vector<Tensor> gradients = q.new_gradients();
  for (const Tensor& gradient : gradients) advise_huge_pages(gradient);
  const int64_t length = rows_per_seed(seed_, q), kl_length = per_latent ? q.rows.length : 1;
  if (q.rows.length == 0) return gradients;
  const Tensor seed = as_contiguous(seed_);

  dispatch_floating(mu.scalar_type(), "mu", [&](auto type) {
    using T = typename decltype(type)::type;
    const auto backward = loops<ReparameterizeLoops<T>>().backward;
    parallel_in_parts(q.rows, length, [&](int64_t part, int64_t begin, int64_t end) {
      const int64_t first = part * length;
      backward(data<T>(grad_z) + first * q.rows.length, data<compute_t<T>>(grad_kl) + first * kl_length, per_latent,
               q.from<T>(first), static_cast<uint64_t>(data<int64_t>(seed)[part]), static_cast<uint64_t>(offset), begin,
               end, q.into<T>(gradients, first));
    });
  });
  return gradients;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(latentcore, CPU, m) {
  m.impl("reparameterize_kl", TORCH_BOX(&reparameterize_kl));
  m.impl("reparameterize_kl_backward", TORCH_BOX(&reparameterize_kl_backward));
}

}  // namespace latentcore
