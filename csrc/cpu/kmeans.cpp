#include "cpu/simd/kmeans.h"

#include <algorithm>
#include <optional>
#include <tuple>
#include <vector>

#include "common/kmeans.h"
#include "cpu/parallel.h"

namespace latentcore {
namespace {

constexpr int64_t kSamples = 256;
constexpr int64_t kMostChunks = 64;

template <class T>
std::vector<compute_t<T>> converted(const Tensor& tensor) {
  const T* source = data<T>(tensor);
  auto result = zeros<compute_t<T>>(tensor.numel());
  for (size_t i = 0; i < result.size(); ++i) result[i] = load(source[i]);
  return result;
}

// For `centres` centres, calls add(first, count, workspace, sums) for blocks of samples and adds up what they leave in
// `sums`, by chunks that depend on the sizes alone, so that the result is the same for any number of threads.
template <class C, class Add>
std::vector<double> summed(int64_t N, int64_t D, int64_t centres, int64_t size, const Add& add) {
  const int64_t blocks = (N + kSamples - 1) / kSamples, chunks = std::clamp(blocks, int64_t{1}, kMostChunks);
  const int64_t step = (blocks + chunks - 1) / chunks * kSamples;
  auto sums = zeros<double>(chunks * size);
  if (N == 0 || size == 0) return sums;
  parallel(chunks, cost_of({step, centres, D}), [&](int64_t begin, int64_t end) {
    auto buffer = zeros<C>((D + 2) * kSamples);
    C* nearest = buffer.data() + D * kSamples;
    const KmeansWorkspace<C> work{kSamples, buffer.data(), nearest, nearest + kSamples};
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      const int64_t last = std::min(N, (chunk + 1) * step);
      for (int64_t s = chunk * step; s < last; s += kSamples) {
        add(s, std::min(kSamples, last - s), work, sums.data() + chunk * size);
      }
    }
  });
  for (int64_t i = size; i < chunks * size; ++i) sums[static_cast<size_t>(i % size)] += sums[static_cast<size_t>(i)];
  sums.resize(static_cast<size_t>(size));
  return sums;
}

std::tuple<Tensor, Tensor, Tensor, Tensor> kmeans_step(const Tensor& x_, const Tensor& centers_,
                                                       const std::optional<Tensor>& sample_weight_) {
  const KmeansArguments given(x_, centers_, sample_weight_);
  const auto [R, N, K, D] = given.sizes;
  const auto [labels, inertia, counts, shifts] = new_step(given);
  dispatch_floating(given.x.scalar_type(), "x", [&](auto type) {
    using T = typename decltype(type)::type;
    using C = compute_t<T>;
    const auto loop = loops<KmeansLoops<T>>().step;
    const std::vector<C> values = converted<T>(given.centers);
    const Centres<C> centres{R, K, D, values.data()};
    const int64_t size = 1 + K + K * D;
    const std::vector<double> sums =
        summed<C>(N, D, R * K, R * size, [&](int64_t s, int64_t count, const auto& work, double* part) {
          loop(centres, data<T>(given.x) + s * D, given.weight<T>(s), count, N, work, mutable_data<int32_t>(labels) + s,
               part);
        });
    for (int64_t r = 0; r < R; ++r) {
      const double* from = sums.data() + r * size;
      mutable_data<C>(inertia)[r] = static_cast<C>(*from++);
      for (int64_t k = 0; k < K; ++k) mutable_data<C>(counts)[r * K + k] = static_cast<C>(*from++);
      for (int64_t e = 0; e < K * D; ++e) mutable_data<C>(shifts)[r * K * D + e] = static_cast<C>(*from++);
    }
  });
  return {labels, inertia, counts, shifts};
}

Tensor potentials_of(const KmeansArguments& given, const Tensor& closest, const Tensor* out) {
  const auto [R, N, K, D] = given.sizes;
  const Tensor potentials = allocate(given.x, {K}, ScalarType::Double);
  dispatch_floating(given.x.scalar_type(), "x", [&](auto type) {
    using T = typename decltype(type)::type;
    using C = compute_t<T>;
    const auto loop = loops<KmeansLoops<T>>().potentials;
    const std::vector<C> values = converted<T>(given.centers);
    const Centres<C> points{1, K, D, values.data()};
    const std::vector<double> sums =
        summed<C>(N, D, K, K, [&](int64_t s, int64_t count, const auto& work, double* part) {
          loop(points, data<T>(given.x) + s * D, given.weight<T>(s), data<C>(closest) + s, count, work,
               out != nullptr ? mutable_data<C>(*out) + s : nullptr, part);
        });
    std::copy(sums.begin(), sums.end(), mutable_data<double>(potentials));
  });
  return potentials;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(latentcore, CPU, m) {
  m.impl("kmeans_step", TORCH_BOX(&kmeans_step));
  m.impl("kmeans_potentials", TORCH_BOX(&kmeans_potentials<&potentials_of>));
  m.impl("kmeans_update", TORCH_BOX(&kmeans_update<&potentials_of>));
}

}  // namespace latentcore
