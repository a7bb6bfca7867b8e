#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "common/checks.h"
#include "common/dispatch.h"
#include "common/mixture_shapes.h"
#include "cpu/parallel.h"

namespace latentcore {
namespace {

using Parameters = std::tuple<Tensor, Tensor, Tensor, Tensor>;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

std::vector<double> doubles(const Tensor& tensor_, const char* name) {
  const Tensor tensor = as_contiguous(tensor_);
  auto values = zeros<double>(tensor.numel());
  dispatch_floating(tensor.scalar_type(), name, [&](auto type) {
    const auto* source = data<typename decltype(type)::type>(tensor);
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(load(source[i]));
  });
  return values;
}

std::vector<double> guarded_counts(const Tensor& n_k, const std::optional<Tensor>& mean_weight, int64_t K) {
  std::vector<double> counts = doubles(n_k, "n_k");
  const auto weights = mean_weight ? doubles(*mean_weight, "mean_weight") : std::vector<double>();
  const double guard = count_guard(n_k.scalar_type());
  for (size_t i = 0; i < counts.size(); ++i) {
    counts[i] += guard * (mean_weight ? weights[i / static_cast<size_t>(K)] : 1);
  }
  return counts;
}

// The rows of `matrix` (D, D), symmetric and positive definite, become those of U with matrix = U^T U; the lower
// triangle is not read. Rows are handled as a whole, so that the compiler makes SIMD code of them.
bool factorise(double* matrix, int64_t D) {
  for (int64_t k = 0; k < D; ++k) {
    double* pivot = matrix + k * D;
    if (!(pivot[k] > 0 && pivot[k] <= std::numeric_limits<double>::max())) return false;
    const double root = std::sqrt(pivot[k]);
    for (int64_t j = k; j < D; ++j) pivot[j] /= root;
    for (int64_t i = k + 1; i < D; ++i) {
      double* row = matrix + i * D;
      for (int64_t j = i; j < D; ++j) row[j] -= pivot[i] * pivot[j];
    }
  }
  return true;
}

// out = the inverse of the upper triangular U, zeros below
void invert(const double* U, int64_t D, double* out) {
  for (int64_t i = D - 1; i >= 0; --i) {
    double* row = out + i * D;
    for (int64_t j = 0; j < D; ++j) row[j] = 0;
    for (int64_t k = i + 1; k < D; ++k) {
      const double factor = U[i * D + k];
      for (int64_t j = k; j < D; ++j) row[j] -= factor * out[k * D + j];
    }
    row[i] = 1;
    for (int64_t j = i; j < D; ++j) row[j] /= U[i * D + i];
  }
}

// One mixture of the batch.
struct Update {
  MixtureSizes sizes;
  double reg_covar;
  const double *n_k, *first, *second, *old_means;
  double *weights, *means, *covariances, *factors;

  double shift(int64_t k, int64_t i) const { return first[k * sizes.D + i] / n_k[k]; }
  double total() const {
    double sum = 0;
    for (int64_t k = 0; k < sizes.K; ++k) sum += n_k[k];
    return sum;
  }

  void move_means() const {
    const double sum = total();
    for (int64_t k = 0; k < sizes.K; ++k) {
      weights[k] = n_k[k] / sum;
      for (int64_t i = 0; i < sizes.D; ++i) means[k * sizes.D + i] = old_means[k * sizes.D + i] + shift(k, i);
    }
  }

  void fit_covariances() const {
    switch (sizes.type) {
      case CovarianceType::full:
        for (int64_t k = 0; k < sizes.K; ++k) fit_full(k);
        return;
      case CovarianceType::tied:
        return fit_tied();
      default:
        for (int64_t k = 0; k < sizes.K; ++k) fit_variances(k);
    }
  }

 private:
  void fit_full(int64_t k) const {
    const int64_t D = sizes.D;
    double* covariance = covariances + k * D * D;
    for (int64_t i = 0; i < D; ++i) {
      for (int64_t j = 0; j < D; ++j) {
        covariance[i * D + j] = second[(k * D + i) * D + j] / n_k[k] - shift(k, i) * shift(k, j);
      }
    }
    finish(covariance, factors + k * D * D);
  }

  void fit_tied() const {
    const int64_t D = sizes.D;
    const double sum = total();
    for (int64_t i = 0; i < D; ++i) {
      for (int64_t j = 0; j < D; ++j) {
        double between = 0;
        for (int64_t k = 0; k < sizes.K; ++k) between += n_k[k] * shift(k, i) * shift(k, j);
        covariances[i * D + j] = (second[i * D + j] - between) / sum;
      }
    }
    finish(covariances, factors);
  }

  void finish(double* covariance, double* factor) const {
    const int64_t D = sizes.D;
    for (int64_t i = 0; i < D; ++i) covariance[i * (D + 1)] += reg_covar;
    std::vector<double> U(covariance, covariance + D * D);
    if (factorise(U.data(), D)) {
      invert(U.data(), D, factor);
    } else {
      std::fill(factor, factor + D * D, kNaN);
    }
  }

  void fit_variances(int64_t k) const {
    const int64_t D = sizes.D;
    if (sizes.type == CovarianceType::diag) {
      for (int64_t i = 0; i < D; ++i) set_variance(k * D + i, second[k * D + i] / n_k[k] - shift(k, i) * shift(k, i));
      return;
    }
    double squares = 0;
    for (int64_t i = 0; i < D; ++i) squares += shift(k, i) * shift(k, i);
    set_variance(k, (second[k] / n_k[k] - squares) / static_cast<double>(D));
  }

  // rounding may bring a variance of 0 below it
  void set_variance(int64_t i, double variance) const {
    covariances[i] = (variance < 0 ? 0 : variance) + reg_covar;
    factors[i] = covariances[i] > 0 ? 1 / std::sqrt(covariances[i]) : kNaN;
  }
};

Parameters gmm_m_step(const Tensor& n_k_, const Tensor& first_, const Tensor& second_, const Tensor& means_,
                      const std::string& covariance_type, double reg_covar, const std::optional<Tensor>& mean_weight) {
  const MixtureSizes sizes = check_m_step(n_k_, first_, second_, means_, covariance_type, mean_weight);
  const std::vector<int64_t> shape = covariance_shape(sizes.type, sizes.K, sizes.D);
  const std::vector<double> n_k = guarded_counts(n_k_, mean_weight, sizes.K);
  const std::vector<double> first = doubles(first_, "first"), second = doubles(second_, "second");
  const std::vector<double> old_means = doubles(means_, "means");

  const auto output = [&](const std::vector<int64_t>& rest) {
    return allocate(means_, batched(means_, rest), ScalarType::Double);
  };
  const Tensor weights = output({sizes.K}), means = output({sizes.K, sizes.D});
  const Tensor covariances = output(shape), factors = output(shape);
  const int64_t step = elements_of(shape, "second");
  const double per_number = is_triangular(sizes.type) ? cost_of({sizes.D, sizes.D}) + 32 : 8;
  parallel(sizes.batch, cost_of({sizes.K, sizes.D}) * per_number, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t k = b * sizes.K, kd = k * sizes.D;
      const Update update{sizes,
                          reg_covar,
                          n_k.data() + k,
                          first.data() + kd,
                          second.data() + b * step,
                          old_means.data() + kd,
                          mutable_data<double>(weights) + k,
                          mutable_data<double>(means) + kd,
                          mutable_data<double>(covariances) + b * step,
                          mutable_data<double>(factors) + b * step};
      update.move_means();
      update.fit_covariances();
    }
  });
  return {weights, means, covariances, factors};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(latentcore, CPU, m) { m.impl("gmm_m_step", TORCH_BOX(&gmm_m_step)); }

}  // namespace latentcore
