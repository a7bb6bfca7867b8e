// The shapes of a batch of mixtures, as the operators of the stems `mixture` and `m_step` take them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/checks.h"
#include "common/sizes.h"
#include "math/mixture.h"

namespace latentcore {

struct MixtureSizes {
  CovarianceType type;
  int64_t batch, K, D;
};

inline CovarianceType covariance_type_of(const std::string& name) {
  if (name == "full") return CovarianceType::full;
  if (name == "tied") return CovarianceType::tied;
  if (name == "diag") return CovarianceType::diag;
  STD_TORCH_CHECK(name == "spherical", "covariance_type: expected full, tied, diag or spherical, got ", name);
  return CovarianceType::spherical;
}

// The shape of covariances, precision factors and second moments.
inline std::vector<int64_t> covariance_shape(CovarianceType type, int64_t K, int64_t D) {
  const std::vector<int64_t> shapes[] = {{K, D, D}, {D, D}, {K, D}, {K}};
  return shapes[static_cast<size_t>(type)];
}

// means: (batch dimensions, K, D)
inline MixtureSizes sizes_of(const Tensor& means, const std::string& covariance_type) {
  const CovarianceType type = covariance_type_of(covariance_type);
  STD_TORCH_CHECK(means.dim() >= 2, "means: expected at least 2 dimensions, got ", means.dim());
  const int64_t K = means.size(means.dim() - 2), D = means.size(means.dim() - 1);
  STD_TORCH_CHECK(K >= 1, "means: expected at least 1 component, got ", K);
  STD_TORCH_CHECK(D >= 1, "means: expected at least 1 feature, got ", D);
  elements_of(means.sizes(), "means");
  return {type, elements_of(leading_sizes(means, 2), "means"), K, D};
}

// (batch dimensions of `model`, rest...), where `model` has two dimensions more than the batch
inline std::vector<int64_t> batched(const Tensor& model, const std::vector<int64_t>& rest,
                                    const char* name = "the result") {
  const Sizes batch = leading_sizes(model, 2);
  std::vector<int64_t> shape(batch.begin(), batch.end());
  shape.insert(shape.end(), rest.begin(), rest.end());
  elements_of(shape, name);
  return shape;
}

// `tensor` has the device and the batch dimensions of `model`, then the sizes `rest`.
inline void check_batched(const Tensor& tensor, const Tensor& model, const std::vector<int64_t>& rest,
                          const char* name) {
  STD_TORCH_CHECK(tensor.device() == model.device(), name, ": expected the device of the other arguments");
  const std::vector<int64_t> expected = batched(model, rest, name);
  check_dim(tensor, static_cast<int64_t>(expected.size()), name);
  for (size_t i = 0; i < expected.size(); ++i) check_size(tensor, static_cast<int64_t>(i), expected[i], name);
}

// The arguments of an M-step: statistics about `means`, and the mean weight of a sample where there are weights.
inline MixtureSizes check_m_step(const Tensor& n_k, const Tensor& first, const Tensor& second, const Tensor& means,
                                 const std::string& covariance_type, const std::optional<Tensor>& mean_weight) {
  const MixtureSizes sizes = sizes_of(means, covariance_type);
  check_batched(n_k, means, {sizes.K}, "n_k");
  check_batched(first, means, {sizes.K, sizes.D}, "first");
  check_batched(second, means, covariance_shape(sizes.type, sizes.K, sizes.D), "second");
  if (mean_weight) check_batched(*mean_weight, means, {}, "mean_weight");
  return sizes;
}

inline double count_guard(ScalarType dtype) {
  return dtype == ScalarType::Double ? kCountGuard<double> : kCountGuard<float>;
}

}  // namespace latentcore
