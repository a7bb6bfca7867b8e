#include "cpu/vae_loss.h"

#include <algorithm>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "common/vae_loss.h"
#include "cpu/huge_pages.h"
#include "cpu/parallel.h"
#include "cpu/simd/vae_loss.h"

namespace latentcore {
namespace {

thread_local bool made_nan = false;

// loss = reconstruction + beta * kl, of every row or their mean
template <class C>
void reduce(const C* reconstruction_rows, const C* kl_rows, double beta, bool mean, int64_t B, const Tensor& loss,
            const Tensor& reconstruction, const Tensor& kl) {
  if (!mean) {
    for (int64_t b = 0; b < B; ++b) {
      mutable_data<C>(loss)[b] = reconstruction_rows[b] + static_cast<C>(beta) * kl_rows[b];
    }
    return;
  }
  double reconstruction_sum = 0, kl_sum = 0;
  for (int64_t b = 0; b < B; ++b) {
    reconstruction_sum += static_cast<double>(reconstruction_rows[b]);
    kl_sum += static_cast<double>(kl_rows[b]);
  }
  const auto count = static_cast<double>(B);
  *mutable_data<C>(reconstruction) = static_cast<C>(reconstruction_sum / count);
  *mutable_data<C>(kl) = static_cast<C>(kl_sum / count);
  *mutable_data<C>(loss) = static_cast<C>((reconstruction_sum + beta * kl_sum) / count);
}

template <class C>
bool has_nan(const C* values, int64_t size) {
  return std::any_of(values, values + size, [](C value) { return value != value; });
}

std::tuple<Tensor, Tensor, Tensor, Tensor> vae_loss(const Tensor& logits_, const Tensor& target_, const Tensor& mu_,
                                                    const Tensor& logvar_, double beta, std::string likelihood,
                                                    double scale, bool mean, bool with_gradient) {
  const VaeLoss call(logits_, target_, mu_, logvar_, likelihood, scale, mean);
  const auto [loss, reconstruction, kl] = call.new_results();
  const int64_t B = call.B, P = call.P, L = call.L;
  const Tensor& logits = call.logits;
  const Tensor gradient = with_gradient ? advise_huge_pages(torch::stable::empty_like(logits)) : allocate(logits, {0});

  dispatch_floating(logits.scalar_type(), "logits", [&](auto type) {
    using T = typename decltype(type)::type;
    using C = compute_t<T>;
    const auto loop = loops<VaeLossLoops<T>>();
    const C factor = static_cast<C>(gradient_factor(logits.scalar_type(), mean, B));
    auto rows = zeros<C>(mean ? 2 * B : 0);
    C* reconstruction_rows = mean ? rows.data() : mutable_data<C>(reconstruction);
    C* kl_rows = mean ? rows.data() + B : mutable_data<C>(kl);
    parallel(B, cost_of({2, P + L}), [&](int64_t begin, int64_t end) {
      loop.reconstruction(data<T>(logits), call.target.const_data_ptr(), call.bytes, call.gaussian, call.weight, factor,
                          begin, end, P, reconstruction_rows, with_gradient ? mutable_data<T>(gradient) : nullptr);
      loop.kl(data<T>(call.mu), data<T>(call.logvar), begin, end, L, kl_rows);
    });
    if (!call.gaussian && !call.bytes) made_nan = made_nan || has_nan(reconstruction_rows, B);
    reduce(reconstruction_rows, kl_rows, beta, mean, B, loss, reconstruction, kl);
  });
  return {loss, reconstruction, kl, gradient};
}

// Adds the gradient of a row (or of the mean) times `factor` to every row's; no gradient is none.
template <class C>
void add_factor(const std::optional<Tensor>& grad, double factor, bool mean, ScalarType dtype, std::vector<C>& rows) {
  if (!grad) return;
  const auto B = static_cast<int64_t>(rows.size());
  check_vae_loss_grad(*grad, mean ? 1 : B, dtype);
  const Tensor values = as_contiguous(*grad);
  for (int64_t b = 0; b < B; ++b) {
    rows[static_cast<size_t>(b)] += static_cast<C>(factor * static_cast<double>(data<C>(values)[mean ? 0 : b]));
  }
}

std::tuple<Tensor, Tensor, Tensor> vae_loss_backward(const std::optional<Tensor>& grad_loss,
                                                     const std::optional<Tensor>& grad_reconstruction,
                                                     const std::optional<Tensor>& grad_kl, const Tensor& gradient_,
                                                     const Tensor& mu_, const Tensor& logvar_, double beta, bool mean) {
  check_vae_loss_backward(gradient_, mu_, logvar_);
  const int64_t B = mu_.size(0);
  const Tensor gradient = as_contiguous(gradient_), mu = as_contiguous(mu_), logvar = as_contiguous(logvar_);
  const Tensor grad_logits = advise_huge_pages(torch::stable::empty_like(gradient));
  const Tensor grad_mu = torch::stable::empty_like(mu);
  const Tensor grad_logvar = torch::stable::empty_like(mu);
  const int64_t P = row_length(gradient), L = mu.size(1);

  dispatch_floating(mu.scalar_type(), "mu", [&](auto type) {
    using T = typename decltype(type)::type;
    using C = compute_t<T>;
    const ScalarType sum_type = compute_dtype(mu.scalar_type());
    const double per_row = mean ? 1.0 / static_cast<double>(B) : 1.0;
    const double rest = per_row / gradient_factor(mu.scalar_type(), mean, B);
    auto factors = zeros<C>(B), kl_factors = zeros<C>(B);
    add_factor(grad_loss, rest, mean, sum_type, factors);
    add_factor(grad_reconstruction, rest, mean, sum_type, factors);
    add_factor(grad_loss, beta * per_row, mean, sum_type, kl_factors);
    add_factor(grad_kl, per_row, mean, sum_type, kl_factors);
    const auto loop = loops<VaeLossLoops<T>>();
    parallel(B, cost_of({P / 2 + 2 * L}), [&](int64_t begin, int64_t end) {
      loop.scale(factors.data(), data<T>(gradient), begin, end, P, mutable_data<T>(grad_logits));
      loop.kl_gradient(kl_factors.data(), data<T>(mu), data<T>(logvar), begin, end, L, mutable_data<T>(grad_mu),
                       mutable_data<T>(grad_logvar));
    });
  });
  return {grad_logits, grad_mu, grad_logvar};
}

}  // namespace

bool take_nan_of_vae_loss() { return std::exchange(made_nan, false); }

STABLE_TORCH_LIBRARY_IMPL(latentcore, CPU, m) {
  m.impl("vae_loss", TORCH_BOX(&vae_loss));
  m.impl("vae_loss_backward", TORCH_BOX(&vae_loss_backward));
}

}  // namespace latentcore
