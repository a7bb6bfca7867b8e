#include <tuple>

#include "common/mixture_arguments.h"
#include "cuda/mixture_small.cuh"
#include "cuda/operator.h"

namespace latentcore {
namespace {

using Statistics = std::tuple<Tensor, Tensor, Tensor, Tensor>;

constexpr int kPrepareThreads = 128;
// Samples per stretch (fewer where a block works on all components at once), and bounds on the sums that the stretches
// leave, so that neither their memory nor the time to add them matters.
constexpr int64_t kStretch = 16384;
constexpr int64_t kSmallStretch = 2048;
constexpr int64_t kMostStretches = 1024;
constexpr int64_t kSumBytes = int64_t{1} << 26;
// Dimensions whose differences fit the shared memory of every card; python/latentcore/ops/mixture.py knows it too.
constexpr int64_t kMostDimensions = 160;

Tensor new_batched(const Tensor& x, const std::vector<int64_t>& rest, ScalarType dtype) {
  return allocate(x, batched(x, rest), dtype);
}

// Blocks that each have one piece of work.
unsigned int exact_grid_of(int64_t blocks) {
  STD_TORCH_CHECK(blocks < (int64_t{1} << 31), "x: expected fewer samples and mixtures");
  return static_cast<unsigned int>(blocks);
}
// Blocks that go on to the next piece where there are more.
unsigned int grid_of(int64_t blocks) { return static_cast<unsigned int>(std::min<int64_t>(blocks, (1u << 31) - 1)); }

// The arguments on the device, and the parameters in the type of computation.
struct Call {
  MixtureArguments arguments;
  DeviceGuard guard;
  MixtureShape shape;
  ScalarType sum_type;
  cudaStream_t stream;
  Tensor means, factors, offsets;

  Call(const Tensor& x, const std::optional<Tensor>& weights, const Tensor& means_, const Tensor& precisions_cholesky,
       const std::string& covariance_type, const std::optional<Tensor>& sample_weight)
      : arguments(x, weights, means_, precisions_cholesky, covariance_type, sample_weight),
        guard(x.get_device_index()),
        shape{arguments.problem.type, arguments.problem.batch, arguments.problem.N, arguments.problem.K,
              arguments.problem.D},
        sum_type(compute_dtype(x.scalar_type())),
        stream(current_stream(x)),
        means(allocate(x, {shape.batch * shape.K * shape.D}, sum_type)),
        factors(allocate(x, {shape.batch * shape.factors() * shape.factor_size()}, sum_type)),
        offsets(allocate(x, {shape.batch * shape.K}, sum_type)) {
    STD_TORCH_CHECK(shape.D <= kMostDimensions, "x: expected at most ", kMostDimensions, " features on CUDA, got ",
                    shape.D);
    if (shape.batch == 0) return;
    dispatch_floating(x.scalar_type(), "x", [&](auto type) {
      using T = typename decltype(type)::type;
      using C = compute_t<T>;
      const GivenParameters<T> given{arguments.weights ? data<T>(*arguments.weights) : nullptr,
                                     data<T>(arguments.means), data<T>(arguments.precisions_cholesky)};
      launch({exact_grid_of(shape.batch * shape.K), kPrepareThreads, 0, stream},
             prepare_mixtures_kernel<kPrepareThreads, T>, shape, given, mutable_data<C>(means),
             mutable_data<C>(factors), mutable_data<C>(offsets));
      check_launch("mixture");
    });
  }

  template <class C>
  Mixtures<C> mixtures() const {
    return {shape, data<C>(means), data<C>(factors), data<C>(offsets)};
  }
  template <class T>
  WeightedSamples<T> samples() const {
    return {arguments.sample_weight ? data<T>(*arguments.sample_weight) : nullptr};
  }

  template <class T>
  void write(Output output, const WeightedSamples<T>& counts, compute_t<T>* table, compute_t<T>* norm) const {
    using C = compute_t<T>;
    if (shape.batch * shape.N == 0) return;
    if (shape.D <= kMostSmall) {
      const int64_t blocks = shape.batch * ((shape.N + kSmallThreads - 1) / kSmallThreads);
      dispatch_small(shape, [&](auto dims, auto triangular) {
        launch({grid_of(blocks), kSmallThreads, 0, stream}, small_samples_kernel<dims(), triangular(), T>, output,
               mixtures<C>(), data<T>(arguments.x), counts, table, norm);
      });
    } else {
      dispatch_tile(shape.D, [&](auto S) {
        launch(tiles<C, S()>(1), mixture_samples_kernel<S(), T>, output, mixtures<C>(), data<T>(arguments.x), counts,
               table, norm);
      });
    }
    check_launch("mixture");
  }

  // A block per tile of samples.
  template <class C, int S>
  Launch tiles(int arrays) const {
    return {grid_of(shape.batch * SampleTile<S>::tile_count(shape.N)), kTileThreads, tile_bytes<C, S>(shape.D, arrays),
            stream};
  }

  template <class T>
  void write_score(const Responsibilities<T>& responsibilities, const compute_t<T>* grad, T* score) const {
    if (shape.batch * shape.N == 0) return;
    using C = compute_t<T>;
    dispatch_tile(shape.D, [&](auto S) {
      launch(tiles<C, S()>(2), mixture_score_kernel<S(), T>, mixtures<C>(), data<T>(arguments.x), responsibilities,
             grad, score);
    });
    check_launch("mixture");
  }

  // (batch, N) norms of the samples' log joint
  template <class T>
  Tensor norms() const {
    const Tensor norm = allocate(arguments.x, {shape.batch * shape.N}, sum_type);
    write<T>(Output::norm, samples<T>(), nullptr, mutable_data<compute_t<T>>(norm));
    return norm;
  }

  // Whether one pass can find the responsibilities and sum the moments: all components' sums fit the registers.
  template <class C>
  bool one_pass() const {
    bool result = false;
    if (shape.D > kMostSmall) return result;
    dispatch_small(shape,
                   [&](auto dims, auto triangular) { result = shape.K <= SmallSums<C, dims(), triangular()>::kGroup; });
    return result;
  }

  MomentPlan plan_moments() const {
    const bool small = shape.D <= kMostSmall;
    const int64_t halves = small ? 1 : kHalves, stretch = small ? kSmallStretch : kStretch;
    MomentPlan plan{shape, 1, shape.N, halves};
    const int64_t bytes = shape.batch * shape.K * halves * plan.slots() * static_cast<int64_t>(sizeof(double));
    const int64_t most = std::clamp(kSumBytes / bytes, int64_t{1}, kMostStretches);
    plan.stretches = std::clamp((shape.N + stretch - 1) / stretch, int64_t{1}, most);
    plan.slices = plan.stretches * halves;
    const int64_t samples = (shape.N + plan.stretches - 1) / plan.stretches;
    plan.samples_per_stretch = (samples + kTileThreads - 1) / kTileThreads * kTileThreads;
    return plan;
  }

  // n_k, first and second moments; the log-likelihood too where it is given, for mixtures of one pass
  template <class T>
  void sum_moments(const Responsibilities<T>& responsibilities, const Tensor& n_k, const Tensor& first,
                   const Tensor& second, const Tensor* log_likelihood = nullptr) const {
    using C = compute_t<T>;
    if (shape.batch == 0) return;
    const MomentPlan plan = plan_moments();
    const Tensor sums = doubles(shape.batch * plan.slices * shape.K * plan.slots());
    const Tensor log_likelihoods = doubles(log_likelihood != nullptr ? shape.batch * plan.stretches : 0);
    if (shape.D <= kMostSmall) {
      dispatch_small(shape, [&](auto dims, auto triangular) {
        constexpr int64_t group = SmallSums<C, dims(), triangular()>::kGroup;
        launch({grid_of(shape.batch * plan.stretches * ((shape.K + group - 1) / group)), kSmallThreads, 0, stream},
               small_moments_kernel<dims(), triangular(), T>, plan, mixtures<C>(), data<T>(arguments.x),
               responsibilities, mutable_data<double>(sums),
               log_likelihood != nullptr ? mutable_data<double>(log_likelihoods) : nullptr);
      });
    } else {
      dispatch_tile(shape.D, [&](auto S) {
        const Launch where{grid_of(shape.batch * plan.stretches * shape.K * plan.parts()), kTileThreads,
                           tile_bytes<C, S()>(shape.D, 1), stream};
        launch(where,
               shape.triangular() ? mixture_moments_kernel<SquareMoments, S(), T>
                                  : mixture_moments_kernel<LineMoments, S(), T>,
               plan, mixtures<C>(), data<T>(arguments.x), responsibilities, mutable_data<double>(sums));
      });
    }
    check_launch("mixture");
    gather<C>(plan, sums, n_k, first, second);
    if (log_likelihood != nullptr) add_likelihoods<C>(plan.stretches, log_likelihoods, *log_likelihood);
  }

  template <class C>
  void gather(const MomentPlan& plan, const Tensor& sums, const Tensor& n_k, const Tensor& first,
              const Tensor& second) const {
    const int64_t numbers = n_k.numel() + first.numel() + second.numel();
    const auto with_threads = [&](auto threads) {
      launch({grid_of((numbers * threads() + kTileThreads - 1) / kTileThreads), kTileThreads, 0, stream},
             mixture_gather_kernel<threads(), C>, plan, data<double>(sums), mutable_data<C>(n_k),
             mutable_data<C>(first), mutable_data<C>(second));
    };
    if (plan.slices > kWarp / 4) {
      with_threads(std::integral_constant<int, kWarp>{});
    } else {
      with_threads(std::integral_constant<int, 1>{});
    }
    check_launch("mixture");
  }

  template <class C>
  void add_likelihoods(int64_t stretches, const Tensor& sums, const Tensor& out) const {
    launch({exact_grid_of(shape.batch), kTileThreads, 0, stream}, mixture_likelihood_total_kernel<C>, stretches,
           data<double>(sums), mutable_data<C>(out));
    check_launch("mixture");
  }

  template <class T>
  void sum_likelihood(const Tensor& norm, const Tensor& out) const {
    using C = compute_t<T>;
    if (shape.batch == 0) return;
    const int64_t stretches = std::max((shape.N + kStretch - 1) / kStretch, int64_t{1});
    Tensor sums = doubles(shape.batch * stretches);
    if (shape.N == 0) {
      torch::stable::zero_(sums);
    } else {
      launch({exact_grid_of(shape.batch * stretches), kTileThreads, 0, stream}, mixture_likelihood_kernel<T>, shape,
             kStretch, data<C>(norm), samples<T>(), mutable_data<double>(sums));
    }
    add_likelihoods<C>(stretches, sums, out);
  }

  Tensor table() const { return new_batched(arguments.x, {shape.N, shape.K}, sum_type); }
  Tensor doubles(int64_t size) const { return allocate(arguments.x, {size}, ScalarType::Double); }
};

Tensor gmm_log_prob(const Tensor& x, const Tensor& means, const Tensor& precisions_cholesky,
                    const std::string& covariance_type) {
  const Call call(x, {}, means, precisions_cholesky, covariance_type, {});
  const Tensor log_prob = call.table();
  dispatch_floating(x.scalar_type(), "x", [&](auto type) {
    using T = typename decltype(type)::type;
    call.write<T>(Output::log_prob, {}, mutable_data<compute_t<T>>(log_prob), nullptr);
  });
  return log_prob;
}

std::tuple<Tensor, Tensor> gmm_e_step(const Tensor& x, const Tensor& weights, const Tensor& means,
                                      const Tensor& precisions_cholesky, const std::string& covariance_type) {
  const Call call(x, weights, means, precisions_cholesky, covariance_type, {});
  const Tensor log_prob_norm = new_batched(x, {call.shape.N}, call.sum_type), log_resp = call.table();
  dispatch_floating(x.scalar_type(), "x", [&](auto type) {
    using T = typename decltype(type)::type;
    call.write<T>(Output::e_step, {}, mutable_data<compute_t<T>>(log_resp), mutable_data<compute_t<T>>(log_prob_norm));
  });
  return {log_prob_norm, log_resp};
}

Tensor gmm_responsibilities(const Tensor& x, const Tensor& weights, const Tensor& means,
                            const Tensor& precisions_cholesky, const std::string& covariance_type) {
  const Call call(x, weights, means, precisions_cholesky, covariance_type, {});
  const Tensor resp = call.table();
  dispatch_floating(x.scalar_type(), "x", [&](auto type) {
    using T = typename decltype(type)::type;
    call.write<T>(Output::responsibilities, {}, mutable_data<compute_t<T>>(resp), nullptr);
  });
  return resp;
}

// n_k, first, second as tensors to be filled
std::tuple<Tensor, Tensor, Tensor> new_moments(const Call& call) {
  const MixtureShape& s = call.shape;
  const Tensor& x = call.arguments.x;
  return {new_batched(x, {s.K}, call.sum_type), new_batched(x, {s.K, s.D}, call.sum_type),
          new_batched(x, covariance_shape(s.type, s.K, s.D), call.sum_type)};
}

Statistics gmm_statistics(const Tensor& x, const Tensor& weights, const Tensor& means,
                          const Tensor& precisions_cholesky, const std::string& covariance_type,
                          const std::optional<Tensor>& sample_weight) {
  const Call call(x, weights, means, precisions_cholesky, covariance_type, sample_weight);
  const Tensor log_likelihood = new_batched(x, {}, call.sum_type);
  const auto [n_k, first, second] = new_moments(call);
  dispatch_floating(x.scalar_type(), "x", [&](auto type) {
    using T = typename decltype(type)::type;
    if (call.one_pass<compute_t<T>>()) {
      call.sum_moments<T>({nullptr, nullptr, call.samples<T>()}, n_k, first, second, &log_likelihood);
      return;
    }
    const Tensor norm = call.norms<T>();
    call.sum_likelihood<T>(norm, log_likelihood);
    call.sum_moments<T>({data<compute_t<T>>(norm), nullptr, call.samples<T>()}, n_k, first, second);
  });
  return {log_likelihood, n_k, first, second};
}

Tensor gmm_score(const Tensor& grad_, const Tensor& x, const Tensor& weights, const Tensor& means,
                 const Tensor& precisions_cholesky, const std::string& covariance_type,
                 const std::optional<Tensor>& sample_weight) {
  const Call call(x, weights, means, precisions_cholesky, covariance_type, sample_weight);
  check_parameter(grad_, x, call.sum_type, {}, "grad");
  const Tensor grad = as_contiguous(grad_);
  const Tensor score = torch::stable::empty_like(call.arguments.x);
  dispatch_floating(x.scalar_type(), "x", [&](auto type) {
    using T = typename decltype(type)::type;
    const Tensor norm = call.norms<T>();
    call.write_score<T>({data<compute_t<T>>(norm), nullptr, call.samples<T>()}, data<compute_t<T>>(grad),
                        mutable_data<T>(score));
  });
  return score;
}

Statistics gmm_moments(const Tensor& resp_, const Tensor& x, const Tensor& means, const Tensor& precisions_cholesky,
                       const std::string& covariance_type) {
  const Call call(x, {}, means, precisions_cholesky, covariance_type, {});
  check_parameter(resp_, x, call.sum_type, {call.shape.N, call.shape.K}, "resp");
  const Tensor resp = as_contiguous(resp_);
  const Tensor score = torch::stable::empty_like(call.arguments.x);
  const auto [n_k, first, second] = new_moments(call);
  dispatch_floating(x.scalar_type(), "x", [&](auto type) {
    using T = typename decltype(type)::type;
    const Responsibilities<T> given{nullptr, data<compute_t<T>>(resp), {nullptr}};
    call.write_score<T>(given, nullptr, mutable_data<T>(score));
    call.sum_moments<T>(given, n_k, first, second);
  });
  return {score, n_k, first, second};
}

}  // namespace

LATENTCORE_CUDA_OPERATORS(m) {
  m.impl("gmm_log_prob", TORCH_BOX(&gmm_log_prob));
  m.impl("gmm_e_step", TORCH_BOX(&gmm_e_step));
  m.impl("gmm_responsibilities", TORCH_BOX(&gmm_responsibilities));
  m.impl("gmm_statistics", TORCH_BOX(&gmm_statistics));
  m.impl("gmm_score", TORCH_BOX(&gmm_score));
  m.impl("gmm_moments", TORCH_BOX(&gmm_moments));
}

}  // namespace latentcore
