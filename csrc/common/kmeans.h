// The arguments of the operators of the stem `kmeans`, as the CPU and the CUDA library check them.
#pragma once

#include <optional>
#include <tuple>
#include <vector>

#include "common/checks.h"
#include "common/dispatch.h"
#include "common/sizes.h"

namespace latentcore {

struct KmeansSizes {
  int64_t R, N, K, D;  // sets of centres, samples, centres in a set, features
};

// What the operators are called with, checked and contiguous.
struct KmeansArguments {
  KmeansSizes sizes;
  Tensor x, centers;
  std::vector<int64_t> batch;  // the leading dimensions of the centres
  std::optional<Tensor> sample_weight;

  KmeansArguments(const Tensor& x_, const Tensor& centers_, const std::optional<Tensor>& sample_weight_)
      : sizes(sizes_of(x_, centers_)), x(as_contiguous(x_)), centers(as_contiguous(centers_)) {
    for (int64_t i = 0; i + 2 < centers.dim(); ++i) batch.push_back(centers.size(i));
    if (sample_weight_) sample_weight = checked(*sample_weight_, x.scalar_type(), "sample_weight");
  }

  template <class T>
  const T* weight(int64_t sample) const {
    return sample_weight ? data<T>(*sample_weight) + sample : nullptr;
  }
  Tensor checked_closest(const Tensor& closest) const {
    return checked(closest, compute_dtype(x.scalar_type()), "closest");
  }
  // The shape (batch dimensions of the centres, rest...).
  std::vector<int64_t> batched(const std::vector<int64_t>& rest) const {
    std::vector<int64_t> shape = batch;
    shape.insert(shape.end(), rest.begin(), rest.end());
    return shape;
  }

 private:
  static KmeansSizes sizes_of(const Tensor& x, const Tensor& centers) {
    check_dim(x, 2, "x");
    STD_TORCH_CHECK(centers.dim() >= 2, "centers: expected at least 2 dimensions, got ", centers.dim());
    check_dtype(centers, x.scalar_type(), "centers");
    STD_TORCH_CHECK(centers.device() == x.device(), "centers: expected the device of x");
    const int64_t K = centers.size(centers.dim() - 2), D = x.size(1);
    check_size(centers, centers.dim() - 1, D, "centers");
    // labels are found in the type of computation, in which float counts up to 2^24
    STD_TORCH_CHECK(K >= 1 && K <= (int64_t{1} << 24), "centers: expected 1 to 16777216 centres, got ", K);
    STD_TORCH_CHECK(D >= 1, "x: expected at least 1 feature");
    elements_of(x.sizes(), "x");
    elements_of(centers.sizes(), "centers");
    const int64_t R = elements_of(leading_sizes(centers, 2), "centers");
    elements_of({R, x.size(0)}, "the result");
    return {R, x.size(0), K, D};
  }
  Tensor checked(const Tensor& tensor, ScalarType dtype, const char* name) const {
    check_dtype(tensor, dtype, name);
    check_dim(tensor, 1, name);
    check_size(tensor, 0, sizes.N, name);
    STD_TORCH_CHECK(tensor.device() == x.device(), name, ": expected the device of x");
    return as_contiguous(tensor);
  }
};

// A back end's potentials of points; where `out` is not null, it gets the lesser distances.
using PotentialsOf = Tensor (*)(const KmeansArguments& given, const Tensor& closest, const Tensor* out);

template <PotentialsOf potentials_of>
Tensor kmeans_potentials(const Tensor& x, const Tensor& points, const Tensor& closest,
                         const std::optional<Tensor>& sample_weight) {
  check_dim(points, 2, "points");
  const KmeansArguments given(x, points, sample_weight);
  return potentials_of(given, given.checked_closest(closest), nullptr);
}

// `closest` is written where it lies.
template <PotentialsOf potentials_of>
Tensor kmeans_update(const Tensor& closest, const Tensor& x, const Tensor& point,
                     const std::optional<Tensor>& sample_weight) {
  check_dim(point, 2, "point");
  check_size(point, 0, 1, "point");
  const KmeansArguments given(x, point, sample_weight);
  given.checked_closest(closest);
  STD_TORCH_CHECK(closest.is_contiguous(), "closest: expected a contiguous tensor");
  return potentials_of(given, closest, &closest);
}

// labels, inertia, counts and shifts of a step, to be filled
inline std::tuple<Tensor, Tensor, Tensor, Tensor> new_step(const KmeansArguments& given) {
  const auto [R, N, K, D] = given.sizes;
  const ScalarType dtype = compute_dtype(given.x.scalar_type());
  const auto make = [&](const std::vector<int64_t>& rest, ScalarType type) {
    return allocate(given.x, given.batched(rest), type);
  };
  return {make({N}, ScalarType::Int), make({}, dtype), make({K}, dtype), make({K, D}, dtype)};
}

}  // namespace latentcore
