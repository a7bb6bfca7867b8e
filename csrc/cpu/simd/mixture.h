#pragma once

#include "cpu/simd/levels.h"
#include "math/mixture.h"

namespace latentcore {

// One mixture in the type of computation.
template <class C>
struct Mixture {
  CovarianceType type;
  int64_t K, D;
  const C* means;    // (K, D)
  const C* columns;  // triangular: the columns of P, packed; else (K, D), the diagonal of P
  const C* rows;     // triangular: the rows of P, packed
  int64_t stride;    // from one component's triangle to the next; 0 for tied
  const C* offsets;  // (K), the log density at the mean, plus the log weight where there is one
};

// Room for one block of samples; a block holds at most `size` of them, transposed so that loops run over samples.
template <class C>
struct MixtureWorkspace {
  int64_t size;
  C* x;           // (D, size)
  C* difference;  // (D, size), x - mu_k
  C* whitened;    // (D, size), P_k^T (x - mu_k)
  C* score;       // (D, size)
  C* joint;       // (K, size), log densities, then exponentials, then responsibilities
  C* norm;        // (size)
  C* scale;       // (size)
};

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

#include "cpu/simd/block.h"

namespace latentcore {
namespace {

// out (columns, stride) = source (count, columns) transposed
template <class T>
LATENTCORE_FUNCTION void load_transposed(const T* source, int64_t count, int64_t columns, int64_t stride,
                                         compute_t<T>* out) {
  for (int64_t j = 0; j < columns; ++j) {
#pragma omp simd
    for (int64_t s = 0; s < count; ++s) out[j * stride + s] = load(source[s * columns + j]);
  }
}

template <class T>
LATENTCORE_FUNCTION void store_transposed(const compute_t<T>* source, int64_t count, int64_t columns, int64_t stride,
                                          T* out) {
  for (int64_t j = 0; j < columns; ++j) {
#pragma omp simd
    for (int64_t s = 0; s < count; ++s) out[s * columns + j] = store<T>(source[j * stride + s]);
  }
}

template <class C>
LATENTCORE_FUNCTION void subtract_mean(const Mixture<C>& mixture, int64_t k, int64_t count,
                                       const MixtureWorkspace<C>& work) {
  for (int64_t i = 0; i < mixture.D; ++i) {
    const C mean = mixture.means[k * mixture.D + i];
    const C* x = work.x + i * work.size;
    C* difference = work.difference + i * work.size;
#pragma omp simd
    for (int64_t s = 0; s < count; ++s) difference[s] = x[s] - mean;
  }
}

// Calls body(at, Width<w>) for stretches of w = 8, 4, 2 or 1 that make up `length`: loops over samples handle several
// rows at once, and their number is a constant.
template <int64_t value>
struct Width {
  static constexpr int64_t width = value;
};
template <class Body>
LATENTCORE_FUNCTION void for_widths(int64_t length, Body body) {
  int64_t at = 0;
  for (; at + 8 <= length; at += 8) body(at, Width<8>{});
  if (at + 4 <= length) body(at, Width<4>{}), at += 4;
  if (at + 2 <= length) body(at, Width<2>{}), at += 2;
  if (at < length) body(at, Width<1>{});
}

// out[s] = sum_i factor[i] in[i][s]
template <class C>
LATENTCORE_FUNCTION void multiply(const C* factor, const C* in, int64_t length, int64_t stride, int64_t count, C* out) {
  for_widths(length, [&](int64_t at, auto constant) {
    constexpr int64_t width = decltype(constant)::width;
    const C* row = in + at * stride;
#pragma omp simd
    for (int64_t s = 0; s < count; ++s) {
      C sum = at == 0 ? C(0) : out[s];
#pragma GCC unroll 8
      for (int64_t c = 0; c < width; ++c) sum += factor[at + c] * row[c * stride + s];
      out[s] = sum;
    }
  });
}

// out[s] = |P_k^T (x - mu_k)|^2 for a triangular factor; P_k^T (x - mu_k) is left in work.whitened.
template <class C>
LATENTCORE_FUNCTION void whiten(const Mixture<C>& mixture, int64_t k, int64_t count, const MixtureWorkspace<C>& work,
                                C* out) {
  const C* column = mixture.columns + k * mixture.stride;
  for (int64_t j = 0; j < mixture.D; ++j) {
    C* y = work.whitened + j * work.size;
    multiply(column, work.difference, j + 1, work.size, count, y);
    column += j + 1;
#pragma omp simd
    for (int64_t s = 0; s < count; ++s) out[s] = (j == 0 ? C(0) : out[s]) + y[s] * y[s];
  }
}

// joint[k][s] = log density of sample s under component k, plus the log weight where the offsets hold one
template <class C>
LATENTCORE_FUNCTION void log_densities(const Mixture<C>& mixture, int64_t count, const MixtureWorkspace<C>& work) {
  for (int64_t k = 0; k < mixture.K; ++k) {
    C* joint = work.joint + k * work.size;
    if (is_triangular(mixture.type)) {
      subtract_mean(mixture, k, count, work);
      whiten(mixture, k, count, work, joint);
    } else {
      const C* mean = mixture.means + k * mixture.D;
      const C* factor = mixture.columns + k * mixture.D;
#pragma omp simd
      for (int64_t s = 0; s < count; ++s) {
        C square = 0;
        for (int64_t i = 0; i < mixture.D; ++i) {
          const C y = (work.x[i * work.size + s] - mean[i]) * factor[i];
          square += y * y;
        }
        joint[s] = square;
      }
    }
    const C offset = mixture.offsets[k];
#pragma omp simd
    for (int64_t s = 0; s < count; ++s) joint[s] = offset - C(0.5) * joint[s];
  }
}

// norm[s] = the greatest joint value; -inf where there is none
template <class C>
LATENTCORE_FUNCTION void greatest_joint(int64_t K, int64_t count, const MixtureWorkspace<C>& work) {
#pragma omp simd
  for (int64_t s = 0; s < count; ++s) {
    C greatest = -static_cast<C>(__builtin_inf());
    for (int64_t k = 0; k < K; ++k) greatest = max(work.joint[k * work.size + s], greatest);
    work.norm[s] = finite_or_zero(greatest);
  }
}

// norm[s] = log sum_k exp(joint[k][s])
template <class C>
LATENTCORE_FUNCTION void log_sum_exp(int64_t K, int64_t count, const MixtureWorkspace<C>& work) {
  greatest_joint(K, count, work);
#pragma omp simd
  for (int64_t s = 0; s < count; ++s) {
    C sum = 0;
    for (int64_t k = 0; k < K; ++k) sum += exp(work.joint[k * work.size + s] - work.norm[s]);
    work.norm[s] += log(sum);
  }
}

// joint becomes exp(joint - greatest); norm[s] = log sum_k exp(joint[k][s]); joint times scale are the
// responsibilities, weighted.
template <class T, class C>
LATENTCORE_FUNCTION void responsibilities(int64_t K, const T* sample_weight, int64_t begin, int64_t count,
                                          const MixtureWorkspace<C>& work) {
  greatest_joint(K, count, work);
#pragma omp simd
  for (int64_t s = 0; s < count; ++s) work.scale[s] = 0;
  for (int64_t k = 0; k < K; ++k) {
    C* joint = work.joint + k * work.size;
#pragma omp simd
    for (int64_t s = 0; s < count; ++s) {
      joint[s] = exp(joint[s] - work.norm[s]);
      work.scale[s] += joint[s];
    }
  }
#pragma omp simd
  for (int64_t s = 0; s < count; ++s) {
    const C sum = work.scale[s];
    work.norm[s] += log(sum);
    work.scale[s] = responsibility_scale(C(1), sum);
  }
  if (sample_weight == nullptr) return;
#pragma omp simd
  for (int64_t s = 0; s < count; ++s) {
    const C weight = load(sample_weight[begin + s]);
    work.scale[s] *= weight;
    // a sample of weight 0 counts nothing, even where its likelihood is 0
    work.norm[s] = weight == C(0) ? C(0) : weight * work.norm[s];
  }
}

// Columns j ... j + width - 1 of row i of sum_s r (x - mu)(x - mu)^T, for `weighted` = r (x - mu)_i
template <int64_t width, class C>
LATENTCORE_FUNCTION void add_products(const C* weighted, const C* difference, int64_t stride, int64_t count,
                                      double* out) {
  C sums[width] = {};
#pragma omp simd reduction(+ : sums[ : width])
  for (int64_t s = 0; s < count; ++s) {
#pragma GCC unroll 8
    for (int64_t c = 0; c < width; ++c) sums[c] += weighted[s] * difference[c * stride + s];
  }
#pragma GCC unroll 8
  for (int64_t c = 0; c < width; ++c) out[c] += static_cast<double>(sums[c]);
}

// Adds the moments of component k for r = joint[k]; work.difference holds x - mu_k, work.norm is overwritten.
template <class C>
LATENTCORE_FUNCTION void add_moments(const Mixture<C>& mixture, int64_t k, int64_t count,
                                     const MixtureWorkspace<C>& work, double* sums) {
  const int64_t K = mixture.K, D = mixture.D;
  const C* resp = work.joint + k * work.size;
  double* first = sums + 1 + K + k * D;
  double* second = sums + 1 + K + K * D;
  if (mixture.type == CovarianceType::full) second += k * (D * (D + 1) / 2);
  if (mixture.type == CovarianceType::diag) second += k * D;
  if (mixture.type == CovarianceType::spherical) second += k;
  sums[1 + k] += static_cast<double>(sum_block(resp, count));
  for (int64_t i = 0; i < D; ++i) {
    const C* difference = work.difference + i * work.size;
    C* weighted = work.norm;
    C sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t s = 0; s < count; ++s) {
      weighted[s] = resp[s] * difference[s];
      sum += weighted[s];
    }
    first[i] += static_cast<double>(sum);
    if (is_triangular(mixture.type)) {
      for_widths(i + 1, [&](int64_t j, auto constant) {
        constexpr int64_t width = decltype(constant)::width;
        add_products<width>(weighted, work.difference + j * work.size, work.size, count, second + j);
      });
      second += i + 1;
    } else {
      add_products<1>(weighted, difference, work.size, count, second);
      if (mixture.type == CovarianceType::diag) ++second;
    }
  }
}

// Adds r d log N_k / dx = -r P_k P_k^T (x - mu_k) to work.score, for r = joint[k]; work.difference holds x - mu_k,
// work.norm is overwritten.
template <class C>
LATENTCORE_FUNCTION void add_score(const Mixture<C>& mixture, int64_t k, int64_t count,
                                   const MixtureWorkspace<C>& work) {
  const int64_t D = mixture.D, stride = work.size;
  const C* resp = work.joint + k * stride;
  if (!is_triangular(mixture.type)) {
    for (int64_t i = 0; i < D; ++i) {
      const C factor = mixture.columns[k * D + i];
      const C* difference = work.difference + i * stride;
      C* score = work.score + i * stride;
#pragma omp simd
      for (int64_t s = 0; s < count; ++s) score[s] -= resp[s] * (difference[s] * factor * factor);
    }
    return;
  }
  whiten(mixture, k, count, work, work.norm);
  const C* row = mixture.rows + k * mixture.stride;
  for (int64_t i = 0; i < D; ++i) {
    C* product = work.norm;
    C* score = work.score + i * stride;
    multiply(row, work.whitened + i * stride, D - i, stride, count, product);
    row += D - i;
#pragma omp simd
    for (int64_t s = 0; s < count; ++s) score[s] -= resp[s] * product[s];
  }
}

template <class C>
LATENTCORE_FUNCTION void scale_joint(int64_t k, int64_t count, const MixtureWorkspace<C>& work) {
  C* joint = work.joint + k * work.size;
#pragma omp simd
  for (int64_t s = 0; s < count; ++s) joint[s] *= work.scale[s];
}

template <class C>
LATENTCORE_FUNCTION void clear_score(int64_t D, int64_t count, const MixtureWorkspace<C>& work) {
  for (int64_t i = 0; i < D; ++i) {
    C* score = work.score + i * work.size;
#pragma omp simd
    for (int64_t s = 0; s < count; ++s) score[s] = 0;
  }
}

// Calls body(begin, size) for every block of samples, with the block in work.x.
template <class T, class Body>
LATENTCORE_FUNCTION void for_blocks(int64_t D, const T* x, int64_t count, const MixtureWorkspace<compute_t<T>>& work,
                                    Body body) {
  for (int64_t begin = 0; begin < count; begin += work.size) {
    const int64_t size = min(work.size, count - begin);
    load_transposed(x + begin * D, size, D, work.size, work.x);
    body(begin, size);
  }
}

template <class T>
void gmm_log_prob(const Mixture<compute_t<T>>& mixture, const T* x, int64_t count,
                  const MixtureWorkspace<compute_t<T>>& work, compute_t<T>* out) {
  const int64_t K = mixture.K;
  for_blocks(mixture.D, x, count, work, [&](int64_t begin, int64_t size) {
    log_densities(mixture, size, work);
    store_transposed(work.joint, size, K, work.size, out + begin * K);
  });
}

template <class T>
void gmm_e_step(const Mixture<compute_t<T>>& mixture, const T* x, int64_t count,
                const MixtureWorkspace<compute_t<T>>& work, compute_t<T>* log_prob_norm, compute_t<T>* log_resp) {
  const int64_t K = mixture.K;
  for_blocks(mixture.D, x, count, work, [&](int64_t begin, int64_t size) {
    log_densities(mixture, size, work);
    log_sum_exp(K, size, work);
    for (int64_t k = 0; k < K; ++k) {
      compute_t<T>* joint = work.joint + k * work.size;
#pragma omp simd
      for (int64_t s = 0; s < size; ++s) joint[s] -= finite_or_zero(work.norm[s]);
    }
    store_block(work.norm, size, log_prob_norm + begin);
    store_transposed(work.joint, size, K, work.size, log_resp + begin * K);
  });
}

template <class T>
void gmm_statistics(const Mixture<compute_t<T>>& mixture, const T* x, const T* sample_weight, int64_t count,
                    const MixtureWorkspace<compute_t<T>>& work, double* sums) {
  for_blocks(mixture.D, x, count, work, [&](int64_t begin, int64_t size) {
    log_densities(mixture, size, work);
    responsibilities(mixture.K, sample_weight, begin, size, work);
    sums[0] += static_cast<double>(sum_block(work.norm, size));
    for (int64_t k = 0; k < mixture.K; ++k) {
      scale_joint(k, size, work);
      subtract_mean(mixture, k, size, work);
      add_moments(mixture, k, size, work, sums);
    }
  });
}

template <class T>
void gmm_score(const Mixture<compute_t<T>>& mixture, compute_t<T> grad, const T* x, const T* sample_weight,
               int64_t count, const MixtureWorkspace<compute_t<T>>& work, T* out) {
  const int64_t D = mixture.D;
  for_blocks(D, x, count, work, [&](int64_t begin, int64_t size) {
    log_densities(mixture, size, work);
    responsibilities(mixture.K, sample_weight, begin, size, work);
#pragma omp simd
    for (int64_t s = 0; s < size; ++s) work.scale[s] *= grad;
    clear_score(D, size, work);
    for (int64_t k = 0; k < mixture.K; ++k) {
      scale_joint(k, size, work);
      subtract_mean(mixture, k, size, work);
      add_score(mixture, k, size, work);
    }
    store_transposed(work.score, size, D, work.size, out + begin * D);
  });
}

template <class T>
void gmm_moments(const Mixture<compute_t<T>>& mixture, const compute_t<T>* resp, const T* x, int64_t count,
                 const MixtureWorkspace<compute_t<T>>& work, T* out, double* sums) {
  const int64_t K = mixture.K, D = mixture.D;
  for_blocks(D, x, count, work, [&](int64_t begin, int64_t size) {
    load_transposed(resp + begin * K, size, K, work.size, work.joint);
    clear_score(D, size, work);
    for (int64_t k = 0; k < K; ++k) {
      subtract_mean(mixture, k, size, work);
      add_moments(mixture, k, size, work, sums);
      add_score(mixture, k, size, work);
    }
    store_transposed(work.score, size, D, work.size, out + begin * D);
  });
}

}  // namespace

LATENTCORE_LOOPS(MixtureLoops, &gmm_log_prob<T>, &gmm_e_step<T>, &gmm_statistics<T>, &gmm_score<T>, &gmm_moments<T>)

}  // namespace latentcore

#endif
