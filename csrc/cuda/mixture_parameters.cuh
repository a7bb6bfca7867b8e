// The parameters of a batch of mixtures in the type of computation, as kernels read them.
#pragma once

#include "cuda/device.cuh"
#include "cuda/packs.cuh"
#include "math/mixture.h"
#include "math/storage.h"

namespace latentcore {

// Columns of a factor that a thread works on at once; rows of a factor are padded to as many.
constexpr int kColumns = 4;

struct MixtureShape {
  CovarianceType type;
  int64_t batch, N, K, D;

  LATENTCORE_MEMBER bool triangular() const { return is_triangular(type); }
  LATENTCORE_MEMBER int64_t padded() const { return (D + kColumns - 1) / kColumns * kColumns; }
  LATENTCORE_MEMBER int64_t factors() const { return type == CovarianceType::tied ? 1 : K; }
  // numbers of one factor: rows of a triangle, zeros below it and beyond it, or one number per dimension
  LATENTCORE_MEMBER int64_t factor_size() const { return triangular() ? D * padded() : D; }
};

template <class C>
struct Mixtures {
  MixtureShape shape;
  const C *means, *factors, *offsets;  // (batch, K, D), (batch, factors, factor_size), (batch, K)

  __device__ const C* mean(int64_t b, int64_t k) const { return means + (b * shape.K + k) * shape.D; }
  __device__ C offset(int64_t b, int64_t k) const { return offsets[b * shape.K + k]; }
  __device__ const C* factor(int64_t b, int64_t k) const {
    const int64_t f = shape.type == CovarianceType::tied ? b : b * shape.K + k;
    return factors + f * shape.factor_size();
  }
};

template <class T>
struct GivenParameters {
  const T *weights, *means, *factors;  // weights may be null
};

// One block per component of every mixture: the additive part of its log density, its mean and its factor.
template <int threads, class T>
__global__ void prepare_mixtures_kernel(MixtureShape shape, GivenParameters<T> given, compute_t<T>* means,
                                        compute_t<T>* factors, compute_t<T>* offsets) {
  using C = compute_t<T>;
  const int64_t D = shape.D, item = blockIdx.x, b = item / shape.K;
  const bool tied = shape.type == CovarianceType::tied;
  const int64_t f = tied ? b : item;
  const T* P = given.factors + f * (shape.triangular() ? D * D : (shape.type == CovarianceType::diag ? D : 1));
  C* out = factors + f * shape.factor_size();
  double log_det = 0;
  for (int64_t i = threadIdx.x; i < D; i += threads) {
    const C mean = load(given.means[item * D + i]);
    means[item * D + i] = mean;
    if (mean != mean) log_det = static_cast<double>(mean);
    const int64_t diagonal = shape.triangular() ? i * (D + 1) : (shape.type == CovarianceType::diag ? i : 0);
    const C value = load(P[diagonal]);
    log_det += static_cast<double>(log(value));
    if (!shape.triangular()) out[i] = value;
    // no density where a number is NaN, on the diagonal or beside it
    for (int64_t j = i + 1; shape.triangular() && j < D; ++j) {
      if (const C entry = load(P[i * D + j]); entry != entry) log_det = static_cast<double>(entry);
    }
  }
  log_det = block_sum<threads>(log_det);
  if (threadIdx.x == 0) {
    const C normalizer = gaussian_log_normalizer(static_cast<C>(log_det), D);
    offsets[item] = normalizer + (given.weights == nullptr ? C(0) : log(static_cast<C>(load(given.weights[item]))));
  }
  if (!shape.triangular() || (tied && item % shape.K != 0)) return;
  for (int64_t e = threadIdx.x; e < shape.factor_size(); e += threads) {
    const int64_t i = e / shape.padded(), j = e % shape.padded();
    out[e] = i <= j && j < D ? static_cast<C>(load(P[i * D + j])) : C(0);
  }
}

}  // namespace latentcore
