#include "cpu/simd/mixture.h"

#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "common/dispatch.h"
#include "common/mixture_shapes.h"
#include "cpu/huge_pages.h"
#include "cpu/mixture_plan.h"

namespace latentcore {
namespace {

using Statistics = std::tuple<Tensor, Tensor, Tensor, Tensor>;

void check_parameter(const Tensor& tensor, const Tensor& x, ScalarType dtype, const std::vector<int64_t>& rest,
                     const char* name) {
  check_dtype(tensor, dtype, name);
  check_batched(tensor, x, rest, name);
}

Problem problem_of(const Tensor& x, const Tensor& means, const Tensor& precisions_cholesky,
                   const std::string& covariance_type) {
  STD_TORCH_CHECK(x.dim() >= 2, "x: expected at least 2 dimensions, got ", x.dim());
  const auto [type, batch, K, D] = sizes_of(means, covariance_type);
  check_size(x, x.dim() - 1, D, "x");
  check_parameter(means, x, x.scalar_type(), {K, D}, "means");
  check_parameter(precisions_cholesky, x, x.scalar_type(), covariance_shape(type, K, D), "precisions_cholesky");
  return {type, batch, x.size(x.dim() - 2), K, D};
}

// (batch dimensions of x, rest...)
Tensor new_batched(const Tensor& x, const std::vector<int64_t>& rest, ScalarType dtype) {
  return advise_huge_pages(torch::stable::new_empty(x, batched(x, rest), dtype));
}

// What the operators are called with, checked and contiguous.
struct Arguments {
  Problem problem;
  Tensor x, means, precisions_cholesky;
  std::optional<Tensor> weights, sample_weight;

  Arguments(const Tensor& x_, const std::optional<Tensor>& weights_, const Tensor& means_, const Tensor& precisions_,
            const std::string& covariance_type, const std::optional<Tensor>& sample_weight_)
      : problem(problem_of(x_, means_, precisions_, covariance_type)),
        x(as_contiguous(x_)),
        means(as_contiguous(means_)),
        precisions_cholesky(as_contiguous(precisions_)),
        weights(checked(weights_, problem.K, "weights")),
        sample_weight(checked(sample_weight_, problem.N, "sample_weight")) {}

  // rows are counted through the batch
  template <class T>
  const T* row(int64_t row) const {
    return data<T>(x) + row * problem.D;
  }
  template <class T>
  const T* weight(int64_t row) const {
    return sample_weight ? data<T>(*sample_weight) + row : nullptr;
  }
  template <class T>
  Mixtures<T> mixtures() const {
    return Mixtures<T>(problem, weights ? data<T>(*weights) : nullptr, data<T>(means), data<T>(precisions_cholesky));
  }

 private:
  std::optional<Tensor> checked(const std::optional<Tensor>& tensor, int64_t size, const char* name) const {
    if (!tensor) return {};
    check_parameter(*tensor, x, x.scalar_type(), {size}, name);
    return as_contiguous(*tensor);
  }
};

template <class C>
const double* narrow(const double* source, int64_t size, C* out) {
  for (int64_t i = 0; i < size; ++i) out[i] = static_cast<C>(source[i]);
  return source + size;
}

// One mixture's second moments; triangles become symmetric matrices.
template <class C>
void store_second(const Problem& problem, const double* sums, C* out) {
  const int64_t D = problem.D;
  if (!is_triangular(problem.type)) {
    narrow(sums, problem.second_size(), out);
    return;
  }
  for (int64_t f = 0; f < problem.factors(); ++f, out += D * D) {
    for (int64_t i = 0; i < D; ++i) {
      for (int64_t j = 0; j <= i; ++j) out[i * D + j] = out[j * D + i] = static_cast<C>(*sums++);
    }
  }
}

// The sums of `loop(type, mixtures, b, row, count, work, sums)` over all samples, as tensors.
template <class Loop>
Statistics summed(const Arguments& arguments, const Loop& loop) {
  const Problem& problem = arguments.problem;
  const ScalarType dtype = compute_dtype(arguments.x.scalar_type());
  const Tensor log_likelihood = new_batched(arguments.x, {}, dtype);
  const Tensor n_k = new_batched(arguments.x, {problem.K}, dtype);
  const Tensor first = new_batched(arguments.x, {problem.K, problem.D}, dtype);
  const Tensor second = new_batched(arguments.x, covariance_shape(problem.type, problem.K, problem.D), dtype);

  dispatch_floating(arguments.x.scalar_type(), "x", [&](auto type) {
    using C = compute_t<typename decltype(type)::type>;
    const auto mixtures = arguments.mixtures<typename decltype(type)::type>();
    ChunkedSums<C> sums(problem);
    sums.run([&](int64_t b, int64_t row, int64_t count, const MixtureWorkspace<C>& work,
                 double* part) { loop(type, mixtures[b], row, count, work, part); },
             [&](int64_t b, const double* total) {
               mutable_data<C>(log_likelihood)[b] = static_cast<C>(*total++);
               total = narrow(total, problem.K, mutable_data<C>(n_k) + b * problem.K);
               total = narrow(total, problem.K * problem.D, mutable_data<C>(first) + b * problem.K * problem.D);
               store_second(problem, total, mutable_data<C>(second) + b * problem.second_size());
             });
  });
  return {log_likelihood, n_k, first, second};
}

Tensor gmm_log_prob(const Tensor& x_, const Tensor& means, const Tensor& precisions_cholesky,
                    const std::string& covariance_type) {
  const Arguments arguments(x_, {}, means, precisions_cholesky, covariance_type, {});
  const Problem& problem = arguments.problem;
  const Tensor log_prob = new_batched(x_, {problem.N, problem.K}, compute_dtype(x_.scalar_type()));

  dispatch_floating(x_.scalar_type(), "x", [&](auto type) {
    using T = typename decltype(type)::type;
    const auto loop = loops<MixtureLoops<T>>().log_prob;
    const Mixtures<T> mixtures = arguments.mixtures<T>();
    for_samples<compute_t<T>>(problem, [&](int64_t b, int64_t row, int64_t count, const auto& work) {
      loop(mixtures[b], arguments.row<T>(row), count, work, mutable_data<compute_t<T>>(log_prob) + row * problem.K);
    });
  });
  return log_prob;
}

std::tuple<Tensor, Tensor> gmm_e_step(const Tensor& x_, const Tensor& weights, const Tensor& means,
                                      const Tensor& precisions_cholesky, const std::string& covariance_type) {
  const Arguments arguments(x_, weights, means, precisions_cholesky, covariance_type, {});
  const Problem& problem = arguments.problem;
  const Tensor log_prob_norm = new_batched(x_, {problem.N}, compute_dtype(x_.scalar_type()));
  const Tensor log_resp = new_batched(x_, {problem.N, problem.K}, compute_dtype(x_.scalar_type()));

  dispatch_floating(x_.scalar_type(), "x", [&](auto type) {
    using T = typename decltype(type)::type;
    const auto loop = loops<MixtureLoops<T>>().e_step;
    const Mixtures<T> mixtures = arguments.mixtures<T>();
    for_samples<compute_t<T>>(problem, [&](int64_t b, int64_t row, int64_t count, const auto& work) {
      loop(mixtures[b], arguments.row<T>(row), count, work, mutable_data<compute_t<T>>(log_prob_norm) + row,
           mutable_data<compute_t<T>>(log_resp) + row * problem.K);
    });
  });
  return {log_prob_norm, log_resp};
}

Tensor gmm_responsibilities(const Tensor& x_, const Tensor& weights, const Tensor& means,
                            const Tensor& precisions_cholesky, const std::string& covariance_type) {
  const Arguments arguments(x_, weights, means, precisions_cholesky, covariance_type, {});
  const Problem& problem = arguments.problem;
  const Tensor resp = new_batched(x_, {problem.N, problem.K}, compute_dtype(x_.scalar_type()));

  dispatch_floating(x_.scalar_type(), "x", [&](auto type) {
    using T = typename decltype(type)::type;
    const auto loop = loops<MixtureLoops<T>>().responsibilities;
    const Mixtures<T> mixtures = arguments.mixtures<T>();
    for_samples<compute_t<T>>(problem, [&](int64_t b, int64_t row, int64_t count, const auto& work) {
      loop(mixtures[b], arguments.row<T>(row), count, work, mutable_data<compute_t<T>>(resp) + row * problem.K);
    });
  });
  return resp;
}

Statistics gmm_statistics(const Tensor& x_, const Tensor& weights, const Tensor& means,
                          const Tensor& precisions_cholesky, const std::string& covariance_type,
                          const std::optional<Tensor>& sample_weight) {
  const Arguments arguments(x_, weights, means, precisions_cholesky, covariance_type, sample_weight);
  return summed(arguments,
                [&]<class T>(Type<T>, const auto& mixture, int64_t row, int64_t count, const auto& work, double* sums) {
                  const auto loop = loops<MixtureLoops<T>>().statistics;
                  loop(mixture, arguments.row<T>(row), arguments.weight<T>(row), count, work, sums);
                });
}

Tensor gmm_score(const Tensor& grad_, const Tensor& x_, const Tensor& weights, const Tensor& means,
                 const Tensor& precisions_cholesky, const std::string& covariance_type,
                 const std::optional<Tensor>& sample_weight) {
  const Arguments arguments(x_, weights, means, precisions_cholesky, covariance_type, sample_weight);
  const Problem& problem = arguments.problem;
  check_parameter(grad_, x_, compute_dtype(x_.scalar_type()), {}, "grad");
  const Tensor grad = as_contiguous(grad_);
  const Tensor score = advise_huge_pages(torch::stable::empty_like(arguments.x));

  dispatch_floating(x_.scalar_type(), "x", [&](auto type) {
    using T = typename decltype(type)::type;
    const auto loop = loops<MixtureLoops<T>>().score;
    const Mixtures<T> mixtures = arguments.mixtures<T>();
    for_samples<compute_t<T>>(problem, [&](int64_t b, int64_t row, int64_t count, const auto& work) {
      loop(mixtures[b], data<compute_t<T>>(grad)[b], arguments.row<T>(row), arguments.weight<T>(row), count, work,
           mutable_data<T>(score) + row * problem.D);
    });
  });
  return score;
}

Statistics gmm_moments(const Tensor& resp_, const Tensor& x_, const Tensor& means, const Tensor& precisions_cholesky,
                       const std::string& covariance_type) {
  const Arguments arguments(x_, {}, means, precisions_cholesky, covariance_type, {});
  const Problem& problem = arguments.problem;
  check_parameter(resp_, x_, compute_dtype(x_.scalar_type()), {problem.N, problem.K}, "resp");
  const Tensor resp = as_contiguous(resp_);
  const Tensor score = advise_huge_pages(torch::stable::empty_like(arguments.x));
  const Statistics sums = summed(arguments, [&]<class T>(Type<T>, const auto& mixture, int64_t row, int64_t count,
                                                         const auto& work, double* part) {
    const auto loop = loops<MixtureLoops<T>>().moments;
    loop(mixture, data<compute_t<T>>(resp) + row * problem.K, arguments.row<T>(row), count, work,
         mutable_data<T>(score) + row * problem.D, part);
  });
  return {score, std::get<1>(sums), std::get<2>(sums), std::get<3>(sums)};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(latentcore, CPU, m) {
  m.impl("gmm_log_prob", TORCH_BOX(&gmm_log_prob));
  m.impl("gmm_e_step", TORCH_BOX(&gmm_e_step));
  m.impl("gmm_responsibilities", TORCH_BOX(&gmm_responsibilities));
  m.impl("gmm_statistics", TORCH_BOX(&gmm_statistics));
  m.impl("gmm_score", TORCH_BOX(&gmm_score));
  m.impl("gmm_moments", TORCH_BOX(&gmm_moments));
}

}  // namespace latentcore
