#include "cpu/simd/mixture.h"

#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "common/mixture_arguments.h"
#include "cpu/huge_pages.h"
#include "cpu/mixture_plan.h"

namespace latentcore {
namespace {

using Statistics = std::tuple<Tensor, Tensor, Tensor, Tensor>;

// (batch dimensions of x, rest...)
Tensor new_batched(const Tensor& x, const std::vector<int64_t>& rest, ScalarType dtype) {
  return advise_huge_pages(allocate(x, batched(x, rest), dtype));
}

// A number for each of the samples', for every mixture.
Tensor new_empty_like(const MixtureArguments& arguments) {
  const Problem& problem = arguments.problem;
  return allocate(arguments.x, batched(arguments.x, {problem.N, problem.D}));
}

template <class T>
Mixtures<T> mixtures_of(const MixtureArguments& arguments) {
  return Mixtures<T>(arguments.problem, arguments.weights ? data<T>(*arguments.weights) : nullptr,
                     data<T>(arguments.means), data<T>(arguments.precisions_cholesky));
}

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
Statistics summed(const MixtureArguments& arguments, const Loop& loop) {
  const Problem& problem = arguments.problem;
  const ScalarType dtype = compute_dtype(arguments.x.scalar_type());
  const Tensor log_likelihood = new_batched(arguments.x, {}, dtype);
  const Tensor n_k = new_batched(arguments.x, {problem.K}, dtype);
  const Tensor first = new_batched(arguments.x, {problem.K, problem.D}, dtype);
  const Tensor second = new_batched(arguments.x, covariance_shape(problem.type, problem.K, problem.D), dtype);

  dispatch_floating(arguments.x.scalar_type(), "x", [&](auto type) {
    using C = compute_t<typename decltype(type)::type>;
    const auto mixtures = mixtures_of<typename decltype(type)::type>(arguments);
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
  const MixtureArguments arguments(x_, {}, means, precisions_cholesky, covariance_type, {}, true);
  const Problem& problem = arguments.problem;
  const Tensor log_prob = new_batched(x_, {problem.N, problem.K}, compute_dtype(x_.scalar_type()));

  dispatch_floating(x_.scalar_type(), "x", [&](auto type) {
    using T = typename decltype(type)::type;
    const auto loop = loops<MixtureLoops<T>>().log_prob;
    const Mixtures<T> mixtures = mixtures_of<T>(arguments);
    for_samples<compute_t<T>>(problem, [&](int64_t b, int64_t row, int64_t count, const auto& work) {
      loop(mixtures[b], arguments.row<T>(row), count, work, mutable_data<compute_t<T>>(log_prob) + row * problem.K);
    });
  });
  return log_prob;
}

std::tuple<Tensor, Tensor> gmm_e_step(const Tensor& x_, const Tensor& weights, const Tensor& means,
                                      const Tensor& precisions_cholesky, const std::string& covariance_type) {
  const MixtureArguments arguments(x_, weights, means, precisions_cholesky, covariance_type, {}, true);
  const Problem& problem = arguments.problem;
  const Tensor log_prob_norm = new_batched(x_, {problem.N}, compute_dtype(x_.scalar_type()));
  const Tensor log_resp = new_batched(x_, {problem.N, problem.K}, compute_dtype(x_.scalar_type()));

  dispatch_floating(x_.scalar_type(), "x", [&](auto type) {
    using T = typename decltype(type)::type;
    const auto loop = loops<MixtureLoops<T>>().e_step;
    const Mixtures<T> mixtures = mixtures_of<T>(arguments);
    for_samples<compute_t<T>>(problem, [&](int64_t b, int64_t row, int64_t count, const auto& work) {
      loop(mixtures[b], arguments.row<T>(row), count, work, mutable_data<compute_t<T>>(log_prob_norm) + row,
           mutable_data<compute_t<T>>(log_resp) + row * problem.K);
    });
  });
  return {log_prob_norm, log_resp};
}

Tensor gmm_responsibilities(const Tensor& x_, const Tensor& weights, const Tensor& means,
                            const Tensor& precisions_cholesky, const std::string& covariance_type) {
  const MixtureArguments arguments(x_, weights, means, precisions_cholesky, covariance_type, {}, true);
  const Problem& problem = arguments.problem;
  const Tensor resp = new_batched(x_, {problem.N, problem.K}, compute_dtype(x_.scalar_type()));

  dispatch_floating(x_.scalar_type(), "x", [&](auto type) {
    using T = typename decltype(type)::type;
    const auto loop = loops<MixtureLoops<T>>().responsibilities;
    const Mixtures<T> mixtures = mixtures_of<T>(arguments);
    for_samples<compute_t<T>>(problem, [&](int64_t b, int64_t row, int64_t count, const auto& work) {
      loop(mixtures[b], arguments.row<T>(row), count, work, mutable_data<compute_t<T>>(resp) + row * problem.K);
    });
  });
  return resp;
}

Statistics gmm_statistics(const Tensor& x_, const Tensor& weights, const Tensor& means,
                          const Tensor& precisions_cholesky, const std::string& covariance_type,
                          const std::optional<Tensor>& sample_weight) {
  const MixtureArguments arguments(x_, weights, means, precisions_cholesky, covariance_type, sample_weight, true);
  return summed(arguments,
                [&]<class T>(Type<T>, const auto& mixture, int64_t row, int64_t count, const auto& work, double* sums) {
                  const auto loop = loops<MixtureLoops<T>>().statistics;
                  loop(mixture, arguments.row<T>(row), arguments.weight<T>(row), count, work, sums);
                });
}

Tensor gmm_score(const Tensor& grad_, const Tensor& x_, const Tensor& weights, const Tensor& means,
                 const Tensor& precisions_cholesky, const std::string& covariance_type,
                 const std::optional<Tensor>& sample_weight) {
  const MixtureArguments arguments(x_, weights, means, precisions_cholesky, covariance_type, sample_weight, true);
  const Problem& problem = arguments.problem;
  check_parameter(grad_, x_, compute_dtype(x_.scalar_type()), {}, "grad");
  const Tensor grad = as_contiguous(grad_);
  const Tensor score = advise_huge_pages(new_empty_like(arguments));

  dispatch_floating(x_.scalar_type(), "x", [&](auto type) {
    using T = typename decltype(type)::type;
    const auto loop = loops<MixtureLoops<T>>().score;
    const Mixtures<T> mixtures = mixtures_of<T>(arguments);
    for_samples<compute_t<T>>(problem, [&](int64_t b, int64_t row, int64_t count, const auto& work) {
      loop(mixtures[b], data<compute_t<T>>(grad)[b], arguments.row<T>(row), arguments.weight<T>(row), count, work,
           mutable_data<T>(score) + row * problem.D);
    });
  });
  return score;
}

Statistics gmm_moments(const Tensor& resp_, const Tensor& x_, const Tensor& means, const Tensor& precisions_cholesky,
                       const std::string& covariance_type) {
  const MixtureArguments arguments(x_, {}, means, precisions_cholesky, covariance_type, {}, true);
  const Problem& problem = arguments.problem;
  check_parameter(resp_, x_, compute_dtype(x_.scalar_type()), {problem.N, problem.K}, "resp");
  const Tensor resp = as_contiguous(resp_);
  const Tensor score = advise_huge_pages(new_empty_like(arguments));
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
