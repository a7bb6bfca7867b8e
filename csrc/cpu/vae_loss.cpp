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

using OptionalTensor = std::optional<Tensor>;

// loss = reconstruction + beta * kl, of every row or, for a mean, of their sum over `count`
template <class C>
void reduce(const C* reconstruction_rows, const C* kl_rows, double beta, bool mean, double count, int64_t B,
            const Tensor& loss, const Tensor& reconstruction, const Tensor& kl) {
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
  *mutable_data<C>(reconstruction) = static_cast<C>(reconstruction_sum / count);
  *mutable_data<C>(kl) = static_cast<C>(kl_sum / count);
  *mutable_data<C>(loss) = static_cast<C>((reconstruction_sum + beta * kl_sum) / count);
}

template <class C>
bool has_nan(const C* values, int64_t size) {
  return std::any_of(values, values + size, [](C value) { return value != value; });
}

// Rows times their weights; with the weight 0 a row is 0 whatever it holds.
template <class C>
void weigh(const C* weight, int64_t begin, int64_t end, C* rows) {
  for (int64_t b = begin; weight != nullptr && b < end; ++b) rows[b] = weight[b] == C(0) ? C(0) : weight[b] * rows[b];
}

std::tuple<Tensor, Tensor, Tensor, Tensor> vae_loss(const Tensor& logits, const Tensor& target, const Tensor& mu,
                                                    const Tensor& logvar, const OptionalTensor& prior_mu,
                                                    const OptionalTensor& prior_logvar, const OptionalTensor& mask,
                                                    const OptionalTensor& sample_weight,
                                                    const OptionalTensor& pos_weight, double beta,
                                                    std::string likelihood, double scale, bool mean,
                                                    bool with_gradient) {
  const PixelTensors pixels(logits, target, mask, sample_weight, pos_weight, likelihood, scale);
  const LatentTensors latents(mu, logvar, prior_mu, prior_logvar);
  check_latents(latents, logits);
  const auto [loss, reconstruction, kl] = new_terms(logits, mean);
  const int64_t B = pixels.B, P = pixels.P;
  const ScalarType dtype = logits.scalar_type();
  const Tensor gradient =
      with_gradient ? advise_huge_pages(torch::stable::empty_like(pixels.logits)) : allocate(logits, {0});
  const double share = row_share(mean && !sample_weight, B);

  dispatch_floating(dtype, "logits", [&](auto type) {
    using T = typename decltype(type)::type;
    using C = compute_t<T>;
    const auto loop = loops<VaeLossLoops<T>>();
    auto rows = zeros<C>(mean ? 2 * B : 0);
    C* reconstruction_rows = mean ? rows.data() : mutable_data<C>(reconstruction);
    C* kl_rows = mean ? rows.data() + B : mutable_data<C>(kl);
    const C* weight = data_or_null<C>(pixels.sample_weight);
    const Pixels<T> p{data<T>(pixels.logits),
                      pixels.target.const_data_ptr(),
                      pixels.bytes,
                      pixels.gaussian,
                      pixels.weight,
                      P,
                      data_or_null<bool>(pixels.mask),
                      data_or_null<C>(pixels.pos_weight),
                      weight,
                      folds_shares(dtype),
                      folds_shares(dtype) ? static_cast<C>(share) : C(1),
                      reconstruction_rows,
                      with_gradient ? mutable_data<T>(gradient) : nullptr};
    const Latents<T> q = latents.from<T>();
    parallel(B, cost_of({2, P + q.L}), [&](int64_t begin, int64_t end) {
      loop.reconstruction(p, begin, end);
      loop.kl(q, begin, end, kl_rows);
      weigh(weight, begin, end, reconstruction_rows);
      weigh(weight, begin, end, kl_rows);
    });
    if (!pixels.gaussian && !pixels.bytes) made_nan = made_nan || has_nan(reconstruction_rows, B);
    reduce(reconstruction_rows, kl_rows, beta, mean, sample_weight ? 1 : static_cast<double>(B), B, loss,
           reconstruction, kl);
  });
  return {loss, reconstruction, kl, gradient};
}

// Gradients of rows that have the weight 0, which are 0 whatever their factors were multiplied by.
template <class T>
void clear(const compute_t<T>* weight, int64_t begin, int64_t end, int64_t L, const LatentGradients<T>& grad) {
  for (int64_t b = begin; weight != nullptr && b < end; ++b) {
    if (weight[b] != 0) continue;
    for (T* values : {grad.mu, grad.logvar, grad.prior_mu, grad.prior_logvar}) {
      if (values != nullptr) std::fill_n(values + b * L, L, store<T>(0));
    }
  }
}

// Adds the gradient of a row (or of the mean) times `factor` to every row's; no gradient is none.
template <class C>
void add_factor(const OptionalTensor& grad, double factor, bool mean, ScalarType dtype, std::vector<C>& rows) {
  if (!grad) return;
  const auto B = static_cast<int64_t>(rows.size());
  check_vae_loss_grad(*grad, mean ? 1 : B, dtype);
  const Tensor values = as_contiguous(*grad);
  for (int64_t b = 0; b < B; ++b) {
    rows[static_cast<size_t>(b)] += static_cast<C>(factor * static_cast<double>(data<C>(values)[mean ? 0 : b]));
  }
}

std::vector<Tensor> vae_loss_backward(const OptionalTensor& grad_loss, const OptionalTensor& grad_reconstruction,
                                      const OptionalTensor& grad_kl, const OptionalTensor& gradient_, const Tensor& mu,
                                      const Tensor& logvar, const OptionalTensor& prior_mu,
                                      const OptionalTensor& prior_logvar, const OptionalTensor& sample_weight,
                                      double beta, bool mean) {
  const LatentTensors latents(mu, logvar, prior_mu, prior_logvar);
  check_vae_loss_backward(gradient_, latents, sample_weight);
  const int64_t B = latents.rows.count, P = gradient_ ? row_length(*gradient_) : 0;
  const OptionalTensor gradient = contiguous_or_none(gradient_), weights = contiguous_or_none(sample_weight);
  std::vector<Tensor> results;
  if (gradient) results.push_back(advise_huge_pages(torch::stable::empty_like(*gradient)));
  const std::vector<Tensor> of_latents = latents.new_gradients();
  results.insert(results.end(), of_latents.begin(), of_latents.end());
  const ScalarType dtype = mu.scalar_type();
  const double share = row_share(mean && !weights, B);

  dispatch_floating(dtype, "mu", [&](auto type) {
    using T = typename decltype(type)::type;
    using C = compute_t<T>;
    const ScalarType sum_type = compute_dtype(dtype);
    const double rest = folds_shares(dtype) ? 1.0 : share;
    auto factors = zeros<C>(B), kl_factors = zeros<C>(B);
    add_factor(grad_loss, rest, mean, sum_type, factors);
    add_factor(grad_reconstruction, rest, mean, sum_type, factors);
    add_factor(grad_loss, beta * share, mean, sum_type, kl_factors);
    add_factor(grad_kl, share, mean, sum_type, kl_factors);
    const C* weight = data_or_null<C>(weights);
    weigh(folds_shares(dtype) ? nullptr : weight, 0, B, factors.data());
    for (int64_t b = 0; weight != nullptr && b < B; ++b) {
      if (weight[b] == 0) factors[static_cast<size_t>(b)] = 0;  // whatever it is multiplied by
    }
    weigh(weight, 0, B, kl_factors.data());
    const auto loop = loops<VaeLossLoops<T>>();
    const Latents<T> q = latents.from<T>();
    const LatentGradients<T> to = latents.into<T>(of_latents);
    parallel(B, cost_of({P / 2 + 2 * q.L}), [&](int64_t begin, int64_t end) {
      if (gradient) loop.scale(factors.data(), data<T>(*gradient), begin, end, P, mutable_data<T>(results[0]));
      loop.kl_gradient(kl_factors.data(), q, begin, end, to);
      clear<T>(weight, begin, end, q.L, to);
    });
  });
  return results;
}

}  // namespace

bool take_nan_of_vae_loss() { return std::exchange(made_nan, false); }

STABLE_TORCH_LIBRARY_IMPL(latentcore, CPU, m) {
  m.impl("vae_loss", TORCH_BOX(&vae_loss));
  m.impl("vae_loss_backward", TORCH_BOX(&vae_loss_backward));
}

}  // namespace latentcore
