#include "cpu/simd/vae_loss.h"

#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "common/checks.h"
#include "common/dispatch.h"
#include "cpu/huge_pages.h"
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

// A mean over the batch is folded into the gradient that the forward pass finds, but not in half types, whose small
// numbers would be lost before the caller's loss scale lifts them.
double gradient_factor(ScalarType dtype, bool mean, int64_t B) {
  return mean && compute_dtype(dtype) == dtype ? 1.0 / static_cast<double>(B) : 1.0;
}

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

std::tuple<Tensor, Tensor, Tensor, Tensor> vae_loss(const Tensor& logits_, const Tensor& target_, const Tensor& mu_,
                                                    const Tensor& logvar_, double beta, std::string likelihood,
                                                    double scale, bool mean, bool with_gradient) {
  STD_TORCH_CHECK(logits_.dim() >= 1, "logits: expected at least 1 dimension, got 0");
  STD_TORCH_CHECK(same_sizes(target_, logits_), "target: expected the shape of logits");
  STD_TORCH_CHECK(target_.device() == logits_.device(), "target: expected the device of logits");
  const bool bytes = target_.scalar_type() == ScalarType::Byte;
  if (!bytes) check_dtype(target_, logits_.scalar_type(), "target");
  check_latents(mu_, logvar_);
  check_dtype(mu_, logits_.scalar_type(), "mu");
  check_size(mu_, 0, logits_.size(0), "mu");
  const double weight = inverse_variance(likelihood, scale);
  STD_TORCH_CHECK(!mean || logits_.size(0) > 0, "logits: expected a batch with at least one sample for its mean");

  const Tensor logits = as_contiguous(logits_), target = as_contiguous(target_);
  const Tensor mu = as_contiguous(mu_), logvar = as_contiguous(logvar_);
  const int64_t B = logits.size(0), P = row_length(logits), L = mu.size(1);
  const std::vector<int64_t> sizes = mean ? std::vector<int64_t>{} : std::vector<int64_t>{B};
  const ScalarType sum_type = compute_dtype(logits.scalar_type());
  const Tensor loss = torch::stable::new_empty(logits, sizes, sum_type);
  const Tensor reconstruction = torch::stable::new_empty(logits, sizes, sum_type);
  const Tensor kl = torch::stable::new_empty(logits, sizes, sum_type);
  const Tensor gradient =
      with_gradient ? advise_huge_pages(torch::stable::empty_like(logits)) : torch::stable::new_empty(logits, {0});

  dispatch_floating(logits.scalar_type(), "logits", [&](auto type) {
    using T = typename decltype(type)::type;
    using C = compute_t<T>;
    const auto loop = loops<VaeLossLoops<T>>();
    const C factor = static_cast<C>(gradient_factor(logits.scalar_type(), mean, B));
    std::vector<C> rows(mean ? static_cast<size_t>(2 * B) : 0);
    C* reconstruction_rows = mean ? rows.data() : mutable_data<C>(reconstruction);
    C* kl_rows = mean ? rows.data() + B : mutable_data<C>(kl);
    parallel(B, 2 * P + 2 * L, [&](int64_t begin, int64_t end) {
      loop.reconstruction(data<T>(logits), target.const_data_ptr(), bytes, weight, factor, begin, end, P,
                          reconstruction_rows, with_gradient ? mutable_data<T>(gradient) : nullptr);
      loop.kl(data<T>(mu), data<T>(logvar), begin, end, L, kl_rows);
    });
    reduce(reconstruction_rows, kl_rows, beta, mean, B, loss, reconstruction, kl);
  });
  return {loss, reconstruction, kl, gradient};
}

// Adds the gradient of a row (or of the mean) times `factor` to every row's; no gradient is none.
template <class C>
void add_factor(const std::optional<Tensor>& grad, double factor, bool mean, ScalarType dtype, std::vector<C>& rows) {
  if (!grad) return;
  const auto B = static_cast<int64_t>(rows.size());
  check_dtype(*grad, dtype, "grad");
  STD_TORCH_CHECK(grad->numel() == (mean ? 1 : B), "grad: expected ", mean ? 1 : B, " elements, got ", grad->numel());
  const Tensor values = as_contiguous(*grad);
  for (int64_t b = 0; b < B; ++b) {
    rows[static_cast<size_t>(b)] += static_cast<C>(factor * static_cast<double>(data<C>(values)[mean ? 0 : b]));
  }
}

std::tuple<Tensor, Tensor, Tensor> vae_loss_backward(const std::optional<Tensor>& grad_loss,
                                                     const std::optional<Tensor>& grad_reconstruction,
                                                     const std::optional<Tensor>& grad_kl, const Tensor& gradient_,
                                                     const Tensor& mu_, const Tensor& logvar_, double beta, bool mean) {
  check_latents(mu_, logvar_);
  const int64_t B = mu_.size(0);
  STD_TORCH_CHECK(gradient_.dim() >= 1, "gradient: expected at least 1 dimension, got 0");
  check_size(gradient_, 0, B, "gradient");
  check_dtype(gradient_, mu_.scalar_type(), "gradient");
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
    std::vector<C> factors(static_cast<size_t>(B)), kl_factors(static_cast<size_t>(B));
    add_factor(grad_loss, rest, mean, sum_type, factors);
    add_factor(grad_reconstruction, rest, mean, sum_type, factors);
    add_factor(grad_loss, beta * per_row, mean, sum_type, kl_factors);
    add_factor(grad_kl, per_row, mean, sum_type, kl_factors);
    const auto loop = loops<VaeLossLoops<T>>();
    parallel(B, P / 2 + 2 * L, [&](int64_t begin, int64_t end) {
      loop.scale(factors.data(), data<T>(gradient), begin, end, P, mutable_data<T>(grad_logits));
      loop.kl_gradient(kl_factors.data(), data<T>(mu), data<T>(logvar), begin, end, L, mutable_data<T>(grad_mu),
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
