// The arguments of the operators of the stem `mixture`, as the CPU and the CUDA library check them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/dispatch.h"
#include "common/mixture_shapes.h"

namespace latentcore {

struct Problem {
  CovarianceType type;
  int64_t batch, N, K, D;

  int64_t triangle() const { return D * (D + 1) / 2; }
  // components with a factor of their own
  int64_t factors() const { return type == CovarianceType::tied ? 1 : K; }
  int64_t second_per_factor() const {
    if (is_triangular(type)) return triangle();
    return type == CovarianceType::diag ? D : 1;
  }
  // numbers in the second moments of one mixture, as a tensor
  int64_t second_size() const { return factors() * (is_triangular(type) ? D * D : second_per_factor()); }
  int64_t sums() const { return 1 + K + K * D + factors() * second_per_factor(); }
};

inline void check_parameter(const Tensor& tensor, const Tensor& x, ScalarType dtype, const std::vector<int64_t>& rest,
                            const char* name) {
  check_dtype(tensor, dtype, name);
  check_batched(tensor, x, rest, name);
}

inline Problem problem_of(const Tensor& x, const Tensor& means, const Tensor& precisions_cholesky,
                          const std::string& covariance_type) {
  STD_TORCH_CHECK(x.dim() >= 2, "x: expected at least 2 dimensions, got ", x.dim());
  const auto [type, batch, K, D] = sizes_of(means, covariance_type);
  check_size(x, x.dim() - 1, D, "x");
  elements_of(x.sizes(), "x");
  check_parameter(means, x, x.scalar_type(), {K, D}, "means");
  check_parameter(precisions_cholesky, x, x.scalar_type(), covariance_shape(type, K, D), "precisions_cholesky");
  return {type, batch, x.size(x.dim() - 2), K, D};
}

// Whether all mixtures of the batch have the same samples, as `expand` makes them, which are contiguous themselves.
inline bool is_shared(const Tensor& tensor, int64_t batch_dims) {
  for (int64_t i = 0; i < batch_dims; ++i) {
    if (tensor.size(i) != 1 && tensor.stride(i) != 0) return false;
  }
  int64_t stride = 1;
  for (int64_t i = tensor.dim() - 1; i >= batch_dims; --i) {
    if (tensor.size(i) != 1 && tensor.stride(i) != stride) return false;
    stride *= tensor.size(i);
  }
  return true;
}

// What the operators are called with, checked and contiguous. With `may_share` samples and their weights that all
// mixtures have in common stay one copy, which `row` and `weight` know.
struct MixtureArguments {
  Problem problem;
  bool shared;
  Tensor x, means, precisions_cholesky;
  std::optional<Tensor> weights, sample_weight;

  MixtureArguments(const Tensor& x_, const std::optional<Tensor>& weights_, const Tensor& means_,
                   const Tensor& precisions_, const std::string& covariance_type,
                   const std::optional<Tensor>& sample_weight_, bool may_share = false)
      : problem(problem_of(x_, means_, precisions_, covariance_type)),
        shared(may_share && is_shared(x_, x_.dim() - 2) &&
               (!sample_weight_ || is_shared(*sample_weight_, sample_weight_->dim() - 1))),
        x(shared ? x_ : as_contiguous(x_)),
        means(as_contiguous(means_)),
        precisions_cholesky(as_contiguous(precisions_)),
        weights(checked(weights_, problem.K, "weights")) {
    if (!sample_weight_) return;
    check_parameter(*sample_weight_, x_, x_.scalar_type(), {problem.N}, "sample_weight");
    sample_weight = shared ? *sample_weight_ : as_contiguous(*sample_weight_);
  }

  // rows are counted through the batch
  template <class T>
  const T* row(int64_t row) const {
    return data<T>(x) + in_memory(row) * problem.D;
  }
  template <class T>
  const T* weight(int64_t row) const {
    return sample_weight ? data<T>(*sample_weight) + in_memory(row) : nullptr;
  }

 private:
  int64_t in_memory(int64_t row) const { return shared ? row % problem.N : row; }
  std::optional<Tensor> checked(const std::optional<Tensor>& tensor, int64_t size, const char* name) const {
    if (!tensor) return {};
    check_parameter(*tensor, x, x.scalar_type(), {size}, name);
    return as_contiguous(*tensor);
  }
};

}  // namespace latentcore
