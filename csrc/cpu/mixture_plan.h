// How the mixture operators cut their work into blocks and chunks of samples, and what they prepare before it.
#pragma once

#include <algorithm>
#include <vector>

#include "common/mixture_arguments.h"
#include "cpu/parallel.h"
#include "cpu/simd/mixture.h"
#include "cpu/simd/tiles.h"

namespace latentcore {

// Samples in a block; fewer where so many would leave the second-level cache.
constexpr int64_t kSamples = 256;
constexpr int64_t kBlockBytes = int64_t{1} << 20;
// Bounds on the partial sums of the statistics, so that neither their memory nor adding them up matters.
constexpr int64_t kMostChunks = 64;
constexpr int64_t kSumBytes = int64_t{1} << 24;

// Numbers in the workspace for each sample of a block: x, x - mu, whitened, score; joint; norm, scale.
inline int64_t workspace_of(const Problem& problem) { return 4 * problem.D + problem.K + 2; }

inline int64_t block_of(const Problem& problem, size_t element) {
  const int64_t fits = kBlockBytes / (workspace_of(problem) * static_cast<int64_t>(element)) / 16 * 16;
  return std::clamp(fits, int64_t{16}, kSamples);
}

// The work of one sample, for parallel().
inline double cost_of(const Problem& problem) {
  const double D = static_cast<double>(problem.D), squares = is_triangular(problem.type) ? D * D / 8 : 0;
  return static_cast<double>(problem.K) * (squares + D + 2);
}

// The upper triangle of P by tiles of columns, each row after row.
template <class T>
void pack_columns(const T* P, int64_t D, compute_t<T>* out) {
  for_tiles<kTileWidth>(D, [&](int64_t j, auto tile) {
    for (int64_t i = 0; i < j + tile.width; ++i) {
      for (int64_t c = j; c < j + tile.width; ++c) *out++ = i <= c ? load(P[i * D + c]) : compute_t<T>(0);
    }
  });
}

// The upper triangle of P by tiles of rows, each column after column.
template <class T>
void pack_rows(const T* P, int64_t D, compute_t<T>* out) {
  for_tiles<kTileWidth>(D, [&](int64_t i, auto tile) {
    for (int64_t j = i; j < D; ++j) {
      for (int64_t r = i; r < i + tile.width; ++r) *out++ = r <= j ? load(P[r * D + j]) : compute_t<T>(0);
    }
  });
}

// The parameters of every mixture of the batch in the type of computation.
template <class T>
class Mixtures {
 public:
  using C = compute_t<T>;

  // `weights` may be null
  Mixtures(const Problem& problem, const T* weights, const T* means, const T* precisions)
      : problem_(problem),
        factor_size_(is_triangular(problem.type) ? packed_size(problem.D) : problem.D),
        factors_(is_triangular(problem.type) ? problem.factors() : problem.K),
        means_(zeros<C>(problem.batch * problem.K * problem.D)),
        columns_(zeros<C>(problem.batch * factors_ * factor_size_)),
        rows_(zeros<C>(is_triangular(problem.type) ? problem.batch * factors_ * factor_size_ : 0)),
        offsets_(zeros<C>(problem.batch * problem.K)) {
    const auto [type, batch, N, K, D] = problem;
    for (int64_t i = 0; i < batch * K * D; ++i) means_[at(i)] = load(means[i]);
    const int64_t given = is_triangular(type) ? D * D : (type == CovarianceType::diag ? D : 1);
    for (int64_t f = 0; f < batch * factors_; ++f) set_factor(precisions + f * given, f);
    for (int64_t i = 0; i < batch * K; ++i) {
      const T* P = precisions + (type == CovarianceType::tied ? i / K : i) * given;
      offsets_[at(i)] = gaussian_log_normalizer(log_det(P), D);
      if (weights != nullptr) offsets_[at(i)] += log(load(weights[i]));
    }
  }

  Mixture<C> operator[](int64_t b) const {
    const auto [type, batch, N, K, D] = problem_;
    const int64_t factor = b * factors_ * factor_size_;
    return {type,
            K,
            D,
            means_.data() + b * K * D,
            columns_.data() + factor,
            rows_.empty() ? nullptr : rows_.data() + factor,
            type == CovarianceType::tied ? 0 : factor_size_,
            offsets_.data() + b * K};
  }

 private:
  static size_t at(int64_t i) { return static_cast<size_t>(i); }

  void set_factor(const T* P, int64_t f) {
    C* columns = columns_.data() + f * factor_size_;
    if (is_triangular(problem_.type)) {
      pack_columns(P, problem_.D, columns);
      pack_rows(P, problem_.D, rows_.data() + f * factor_size_);
    } else {
      for (int64_t i = 0; i < problem_.D; ++i) columns[i] = load(P[problem_.type == CovarianceType::diag ? i : 0]);
    }
  }

  C log_det(const T* P) const {
    const int64_t step =
        is_triangular(problem_.type) ? problem_.D + 1 : (problem_.type == CovarianceType::diag ? 1 : 0);
    double sum = 0;
    for (int64_t i = 0; i < problem_.D; ++i) sum += log(static_cast<double>(load(P[i * step])));
    return static_cast<C>(sum);
  }

  Problem problem_;
  int64_t factor_size_, factors_;
  std::vector<C> means_, columns_, rows_, offsets_;
};

// Memory for one block of samples.
template <class C>
class Workspace {
 public:
  explicit Workspace(const Problem& problem)
      : size_(block_of(problem, sizeof(C))), D_(problem.D), buffer_(zeros<C>(size_ * workspace_of(problem))) {}

  MixtureWorkspace<C> get() {
    C* x = buffer_.data();
    C* norm = x + 4 * D_ * size_;
    return {size_, x, x + D_ * size_, x + 2 * D_ * size_, x + 3 * D_ * size_, norm + 2 * size_, norm, norm + size_};
  }

 private:
  int64_t size_, D_;
  std::vector<C> buffer_;
};

// Calls body(b, row, count, workspace) for stretches of samples of every mixture of the batch; rows are counted through
// the batch.
template <class C, class Body>
void for_samples(const Problem& problem, const Body& body) {
  const int64_t step = block_of(problem, sizeof(C));
  const int64_t blocks = (problem.N + step - 1) / step;
  parallel(problem.batch * blocks, cost_of({std::min(step, problem.N)}) * cost_of(problem),
           [&](int64_t first, int64_t last) {
             Workspace<C> workspace(problem);
             for (int64_t task = first; task < last; ++task) {
               const int64_t b = task / blocks, begin = task % blocks * step;
               body(b, b * problem.N + begin, std::min(step, problem.N - begin), workspace.get());
             }
           });
}

// Samples are summed by chunks, which depend on the problem alone, and chunks are added up in their order: the result
// is the same for any number of threads.
template <class C>
class ChunkedSums {
 public:
  explicit ChunkedSums(const Problem& problem)
      : problem_(problem),
        chunks_(chunk_count(problem)),
        step_((problem.N + chunks_ - 1) / chunks_),
        group_(std::clamp(kSumBytes / (chunks_ * bytes(problem)), int64_t{1}, std::max(problem.batch, int64_t{1}))),
        sums_(zeros<double>(group_ * chunks_ * problem.sums())) {
    const int64_t block = block_of(problem, sizeof(C));
    step_ = (step_ + block - 1) / block * block;
  }

  // Calls add(b, row, count, workspace, sums) for every chunk, and take(b, sums) for every mixture of the batch.
  template <class Add, class Take>
  void run(const Add& add, const Take& take) {
    for (int64_t b = 0; b < problem_.batch; b += group_) {
      const int64_t size = std::min(group_, problem_.batch - b);
      std::fill(sums_.begin(), sums_.end(), 0.0);
      parallel(size * chunks_, cost_of({std::min(step_, problem_.N)}) * cost_of(problem_),
               [&](int64_t first, int64_t last) {
                 Workspace<C> workspace(problem_);
                 for (int64_t task = first; task < last; ++task) {
                   const int64_t mixture = b + task / chunks_, begin = task % chunks_ * step_;
                   const int64_t count = std::min(step_, problem_.N - begin);
                   if (count > 0) add(mixture, mixture * problem_.N + begin, count, workspace.get(), at(task));
                 }
               });
      for (int64_t i = 0; i < size; ++i) {
        double* total = at(i * chunks_);
        for (int64_t c = 1; c < chunks_; ++c) {
          const double* part = at(i * chunks_ + c);
          for (int64_t j = 0; j < problem_.sums(); ++j) total[j] += part[j];
        }
        take(b + i, total);
      }
    }
  }

 private:
  static int64_t bytes(const Problem& problem) { return problem.sums() * static_cast<int64_t>(sizeof(double)); }
  static int64_t chunk_count(const Problem& problem) {
    const int64_t block = block_of(problem, sizeof(C));
    const int64_t blocks = (problem.N + block - 1) / block;
    return std::max(std::min({kMostChunks, blocks, kSumBytes / bytes(problem)}), int64_t{1});
  }
  double* at(int64_t task) { return sums_.data() + task * problem_.sums(); }

  Problem problem_;
  int64_t chunks_, step_, group_;
  std::vector<double> sums_;
};

}  // namespace latentcore
