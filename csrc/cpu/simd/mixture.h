#pragma once

#include "cpu/simd/mixture_block.h"
#include "cpu/simd/mixture_moments.h"
#include "cpu/simd/mixture_responsibilities.h"
#include "cpu/simd/mixture_score.h"

namespace latentcore {

// Sums over samples: log likelihood (1), n_k (K), first (K, D), second: a row-wise lower triangle of D (D + 1) / 2
// numbers for each component (full) or for all (tied), (K, D) (diag) or (K) (spherical).
//
// Each loop handles `count` samples; arrays begin at the first of them. Sums are added to `sums`. `sample_weight` may
// be null.
template <class T>
struct MixtureLoops {
  using C = compute_t<T>;

  void (*log_prob)(const Mixture<C>& mixture, const T* x, int64_t count, const MixtureWorkspace<C>& work, C* out);
  void (*e_step)(const Mixture<C>& mixture, const T* x, int64_t count, const MixtureWorkspace<C>& work,
                 C* log_prob_norm, C* log_resp);
  void (*responsibilities)(const Mixture<C>& mixture, const T* x, int64_t count, const MixtureWorkspace<C>& work,
                           C* resp);
  void (*statistics)(const Mixture<C>& mixture, const T* x, const T* sample_weight, int64_t count,
                     const MixtureWorkspace<C>& work, double* sums);
  // score = grad sum_k r_k d log N_k / dx
  void (*score)(const Mixture<C>& mixture, C grad, const T* x, const T* sample_weight, int64_t count,
                const MixtureWorkspace<C>& work, T* score);
  // score and sums (without log likelihood) for given r (N, K) in place of responsibilities
  void (*moments)(const Mixture<C>& mixture, const C* resp, const T* x, int64_t count, const MixtureWorkspace<C>& work,
                  T* score, double* sums);

  template <SimdLevel level>
  static MixtureLoops at();
};

}  // namespace latentcore

#ifdef LATENTCORE_LEVEL

namespace latentcore {
namespace {

// Calls body(begin, size, rounded) for every block of samples, with the block in work.x; `rounded` is the size in whole
// registers.
template <class T, class Body>
LATENTCORE_FUNCTION void for_blocks(int64_t D, const T* x, int64_t count, const MixtureWorkspace<compute_t<T>>& work,
                                    Body body) {
  for (int64_t begin = 0; begin < count; begin += work.size) {
    const int64_t size = min(work.size, count - begin);
    load_transposed(x + begin * D, size, D, work.size, work.x);
    body(begin, size, rounded_up<compute_t<T>>(size));
  }
}

template <class T>
void gmm_log_prob(const Mixture<compute_t<T>>& mixture, const T* x, int64_t count,
                  const MixtureWorkspace<compute_t<T>>& work, compute_t<T>* out) {
  const int64_t K = mixture.K;
  for_blocks(mixture.D, x, count, work, [&](int64_t begin, int64_t size, int64_t rounded) {
    log_densities(mixture, rounded, work);
    store_transposed(work.joint, size, K, work.size, out + begin * K);
  });
}

template <class T>
void gmm_e_step(const Mixture<compute_t<T>>& mixture, const T* x, int64_t count,
                const MixtureWorkspace<compute_t<T>>& work, compute_t<T>* log_prob_norm, compute_t<T>* log_resp) {
  const int64_t K = mixture.K;
  for_blocks(mixture.D, x, count, work, [&](int64_t begin, int64_t size, int64_t rounded) {
    log_densities(mixture, rounded, work);
    normalize(K, rounded, work);
    store_block(work.norm, size, log_prob_norm + begin);
    store_transposed(work.joint, size, K, work.size, log_resp + begin * K);
  });
}

template <class T>
void gmm_responsibilities(const Mixture<compute_t<T>>& mixture, const T* x, int64_t count,
                          const MixtureWorkspace<compute_t<T>>& work, compute_t<T>* resp) {
  const int64_t K = mixture.K;
  for_blocks(mixture.D, x, count, work, [&](int64_t begin, int64_t size, int64_t rounded) {
    log_densities(mixture, rounded, work);
    responsibilities<T>(K, nullptr, begin, size, work);
    for (int64_t k = 0; k < K; ++k) scale_joint(k, rounded, work);
    store_transposed(work.joint, size, K, work.size, resp + begin * K);
  });
}

template <class T>
void gmm_statistics(const Mixture<compute_t<T>>& mixture, const T* x, const T* sample_weight, int64_t count,
                    const MixtureWorkspace<compute_t<T>>& work, double* sums) {
  for_blocks(mixture.D, x, count, work, [&](int64_t begin, int64_t size, int64_t rounded) {
    clear_weightless(mixture.D, sample_weight, begin, size, work);
    log_densities(mixture, rounded, work);
    responsibilities(mixture.K, sample_weight, begin, size, work);
    sums[0] += static_cast<double>(settle_unreached(mixture.D, size, work));
    for (int64_t k = 0; k < mixture.K; ++k) {
      scale_joint(k, rounded, work);
      add_moments(mixture, k, rounded, work, sums);
    }
  });
}

template <class T>
void gmm_score(const Mixture<compute_t<T>>& mixture, compute_t<T> grad, const T* x, const T* sample_weight,
               int64_t count, const MixtureWorkspace<compute_t<T>>& work, T* out) {
  const int64_t D = mixture.D;
  for_blocks(D, x, count, work, [&](int64_t begin, int64_t size, int64_t rounded) {
    clear_weightless(D, sample_weight, begin, size, work);
    log_densities(mixture, rounded, work);
    responsibilities(mixture.K, sample_weight, begin, size, work);
    settle_unreached(D, size, work);
#pragma omp simd
    for (int64_t s = 0; s < rounded; ++s) work.scale[s] *= grad;
    clear_score(D, rounded, work);
    for (int64_t k = 0; k < mixture.K; ++k) {
      scale_joint(k, rounded, work);
      subtract_mean(mixture, k, rounded, work);
      add_score(mixture, k, rounded, work);
    }
    store_transposed(work.score, size, D, work.size, out + begin * D);
  });
}

template <class T>
void gmm_moments(const Mixture<compute_t<T>>& mixture, const compute_t<T>* resp, const T* x, int64_t count,
                 const MixtureWorkspace<compute_t<T>>& work, T* out, double* sums) {
  const int64_t K = mixture.K, D = mixture.D;
  for_blocks(D, x, count, work, [&](int64_t begin, int64_t size, int64_t rounded) {
    load_transposed(resp + begin * K, size, K, work.size, work.joint);
    clear_score(D, rounded, work);
    for (int64_t k = 0; k < K; ++k) {
      add_moments(mixture, k, rounded, work, sums);
      subtract_mean(mixture, k, rounded, work);
      add_score(mixture, k, rounded, work);
    }
    store_transposed(work.score, size, D, work.size, out + begin * D);
  });
}

}  // namespace

LATENTCORE_LOOPS(MixtureLoops, &gmm_log_prob<T>, &gmm_e_step<T>, &gmm_responsibilities<T>, &gmm_statistics<T>,
                 &gmm_score<T>, &gmm_moments<T>)

}  // namespace latentcore

#endif
