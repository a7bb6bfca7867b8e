#include <cstdint>
#include <initializer_list>
#include <optional>
#include <tuple>
#include <vector>

#include "common/checks.h"
#include "common/dispatch.h"
#include "common/latents.h"
#include "cuda/device.cuh"
#include "cuda/operator.h"
#include "cuda/packs.cuh"
#include "math/philox.h"

namespace latentcore {
namespace {

constexpr int kThreads = 256;
// Up to 64 registers a thread, 128 for double, which would spill with fewer.
template <class T>
constexpr int kBlocksPerProcessor = sizeof(T) == 8 ? 2 : 4;

// Which noise a row gets: rows with one seed are a part, whose elements are counted from `offset`.
struct Noise {
  const int64_t* seed;
  uint64_t offset;
  int64_t part;  // rows with one seed
};

// What a kernel is compiled for: the divergence from N(0, 1), summed over the row, with one seed for all rows; or
// anything else, at the price of more registers.
enum class Call { plain, any };

// A group of threads works on one row. The unit of work is a quad: the four elements that share one Philox counter. A
// row's first and last quads may reach into its neighbours; those lanes are left out.
struct RowOfQuads {
  int64_t row, begin, end;         // flat elements of the row
  uint64_t first_quad, last_quad;  // counters, `offset` included; the last is exclusive
  int64_t shift;                   // from four times a counter to its flat elements
  int64_t seed;                    // which one
  int thread;                      // in the group

  __device__ RowOfQuads(int group, const Noise& noise, Call call, int64_t L) {
    const int64_t index = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
    row = index / group;
    thread = static_cast<int>(index % group);
    begin = row * L;
    end = begin + L;
    seed = call == Call::plain ? 0 : row / noise.part;
    shift = seed * noise.part * L - static_cast<int64_t>(noise.offset);
    // unsigned, for an offset may be near the end of the signed numbers
    first_quad = (static_cast<uint64_t>(begin) - static_cast<uint64_t>(shift)) / 4;
    last_quad = (static_cast<uint64_t>(end) - static_cast<uint64_t>(shift) + 3) / 4;
  }
  __device__ bool holds(int64_t i) const { return i >= begin && i < end; }
  __device__ int64_t first_element(uint64_t quad) const {
    return static_cast<int64_t>(4 * quad + static_cast<uint64_t>(shift));
  }
};

// The elements of a quad, in one access where they lie in memory as a pack: 16 bytes of float.
template <bool packed, class T>
__device__ void load_quad(const T* source, const RowOfQuads& work, int64_t first, compute_t<T> (&out)[4]) {
  if constexpr (packed) {
    const auto pack = load_pack<4>(source + first);
#pragma unroll
    for (int lane = 0; lane < 4; ++lane) out[lane] = load(pack.values[lane]);
  } else {
#pragma unroll
    for (int lane = 0; lane < 4; ++lane) out[lane] = work.holds(first + lane) ? load(source[first + lane]) : 0;
  }
}

template <bool packed, class T>
__device__ void store_quad(const compute_t<T> (&values)[4], const RowOfQuads& work, int64_t first, T* out) {
  if constexpr (packed) {
    Pack<T, 4> pack;
#pragma unroll
    for (int lane = 0; lane < 4; ++lane) pack.values[lane] = store<T>(values[lane]);
    store_pack(pack, out + first);
  } else {
#pragma unroll
    for (int lane = 0; lane < 4; ++lane) {
      if (work.holds(first + lane)) out[first + lane] = store<T>(values[lane]);
    }
  }
}

template <int G, bool packed, Call call, class T>
__global__ void __launch_bounds__(kThreads, kBlocksPerProcessor<T>)
    reparameterize_kernel(const Latents<T> q, const Noise noise, int64_t rows, bool per_latent, T* __restrict__ z,
                          compute_t<T>* __restrict__ kl) {
  using C = compute_t<T>;
  const RowOfQuads work(G, noise, call, q.L);
  double total = 0;  // a quad is summed in C, quads in double: the error does not grow with L
  if (work.row < rows) {
    const auto key = static_cast<uint64_t>(noise.seed[work.seed]);
    for (uint64_t quad = work.first_quad + work.thread; quad < work.last_quad; quad += G) {
      const int64_t first = work.first_element(quad);
      C m[4], v[4], sample[4], sum = 0;
      load_quad<packed>(q.mu, work, first, m);
      load_quad<packed>(q.logvar, work, first, v);
      normal4(key, quad, sample);
#pragma unroll
      for (int lane = 0; lane < 4; ++lane) {
        const C std = exp(C(0.5) * v[lane]);
        sample[lane] = m[lane] + std * sample[lane];
        if (!packed && !work.holds(first + lane)) continue;
        const C term = call == Call::plain || q.prior_mu == nullptr
                           ? gaussian_kl(m[lane], v[lane], std)
                           : kl_of<true>(q, first + lane, m[lane], v[lane], std);
        sum += term;
        if (call == Call::any && per_latent) kl[first + lane] = term;
      }
      store_quad<packed>(sample, work, first, z);
      total += sum;
    }
  }
  if (call == Call::any && per_latent) return;
  total = group_sum<G>(total);
  if (work.row < rows && work.thread == 0) kl[work.row] = static_cast<C>(total);
}

template <int G, bool packed, Call call, class T>
__global__ void __launch_bounds__(kThreads, kBlocksPerProcessor<T>)
    reparameterize_backward_kernel(const T* __restrict__ grad_z, const compute_t<T>* __restrict__ grad_kl,
                                   bool per_latent, const Latents<T> q, const Noise noise, int64_t rows,
                                   const LatentGradients<T> grad) {
  using C = compute_t<T>;
  const RowOfQuads work(G, noise, call, q.L);
  if (work.row >= rows) return;
  const auto key = static_cast<uint64_t>(noise.seed[work.seed]);
  const C row_gkl = call == Call::plain || !per_latent ? grad_kl[work.row] : C(0);
  for (uint64_t quad = work.first_quad + work.thread; quad < work.last_quad; quad += G) {
    const int64_t first = work.first_element(quad);
    C gz[4], m[4], v[4], sample[4];
    load_quad<packed>(grad_z, work, first, gz);
    load_quad<packed>(q.mu, work, first, m);
    load_quad<packed>(q.logvar, work, first, v);
    normal4(key, quad, sample);
#pragma unroll
    for (int lane = 0; lane < 4; ++lane) {
      const C std = exp(C(0.5) * v[lane]);
      C gkl = row_gkl, by_mu = m[lane], by_logvar = gaussian_kl_grad_logvar(std);
      if (call == Call::any && (packed || work.holds(first + lane))) {
        const int64_t i = first + lane;
        if (per_latent) gkl = grad_kl[i];
        if (q.prior_mu != nullptr) {
          const auto k = kl_slopes(in_prior_units<C>(m[lane], v[lane], load(q.prior_mu[i]), load(q.prior_logvar[i])));
          by_mu = k.mu;
          by_logvar = k.logvar;
          grad.prior_mu[i] = store<T>(-gkl * k.mu);
          grad.prior_logvar[i] = store<T>(gkl * k.prior_logvar);
        }
      }
      m[lane] = gz[lane] + gkl * by_mu;
      v[lane] = C(0.5) * gz[lane] * std * sample[lane] + gkl * by_logvar;
    }
    store_quad<packed>(m, work, first, grad.mu);
    store_quad<packed>(v, work, first, grad.logvar);
  }
}

// Calls body(G, packed, call), constants: the group that fits a row of L, one quad a thread, at most a warp; whether
// all quads lie in memory as packs; and the kind of call.
template <class T, class Body>
void dispatch_rows(int64_t L, uint64_t offset, Call kind, std::initializer_list<const T*> tensors, Body&& body) {
  bool packs = offset % 4 == 0;
  for (const T* tensor : tensors) packs = packs && rows_are_packed(tensor, L, sizeof(T), 4);
  const auto with_group = [&](auto packed, auto call) {
    if (L <= 4) return body(std::integral_constant<int, 1>{}, packed, call);
    if (L <= 16) return body(std::integral_constant<int, 4>{}, packed, call);
    if (L <= 64) return body(std::integral_constant<int, 16>{}, packed, call);
    return body(std::integral_constant<int, kWarp>{}, packed, call);
  };
  const auto with_call = [&](auto packed) {
    if (kind == Call::plain) return with_group(packed, std::integral_constant<Call, Call::plain>{});
    return with_group(packed, std::integral_constant<Call, Call::any>{});
  };
  if (packs) {
    with_call(std::true_type{});
  } else {
    with_call(std::false_type{});
  }
}

template <int G>
unsigned int blocks(int64_t rows) {
  const int64_t count = (rows * G + kThreads - 1) / kThreads;
  STD_TORCH_CHECK(count < (int64_t{1} << 31), "mu: expected fewer rows, got ", rows);
  return static_cast<unsigned int>(count);
}

using OptionalTensor = std::optional<Tensor>;

Noise noise_of(const Tensor& seed, int64_t offset, const LatentTensors& q) {
  STD_TORCH_CHECK(offset >= 0, "offset: expected a number >= 0, got ", offset);
  const int64_t part = rows_per_seed(seed, q);
  return {data<int64_t>(seed), static_cast<uint64_t>(offset), part};
}

Call kind_of(const LatentTensors& q, const Tensor& seed, bool per_latent) {
  return q.prior_mu || per_latent || seed.numel() > 1 ? Call::any : Call::plain;
}

std::tuple<Tensor, Tensor> reparameterize_kl(const Tensor& mu, const Tensor& logvar, const OptionalTensor& prior_mu,
                                             const OptionalTensor& prior_logvar, const Tensor& seed_, int64_t offset,
                                             bool per_latent) {
  const LatentTensors tensors(mu, logvar, prior_mu, prior_logvar);
  const Tensor seed = as_contiguous(seed_);
  const Noise noise = noise_of(seed, offset, tensors);
  const DeviceGuard guard(mu.get_device_index());
  Tensor z = torch::stable::empty_like(tensors.mu);
  Tensor kl = allocate(mu, per_latent ? mu.sizes() : leading_sizes(mu, 1), compute_dtype(mu.scalar_type()));
  const Rows rows = tensors.rows;
  const Call kind = kind_of(tensors, seed, per_latent);
  if (rows.length == 0) return {z, torch::stable::zero_(kl)};
  if (rows.count == 0) return {z, kl};

  dispatch_floating(mu.scalar_type(), "mu", [&](auto type) {
    using T = typename decltype(type)::type;
    const Latents<T> q = tensors.from<T>();
    T* to = mutable_data<T>(z);
    dispatch_rows<T>(rows.length, noise.offset, kind, {q.mu, q.logvar, to}, [&](auto group, auto packed, auto call) {
      launch({blocks<group()>(rows.count), kThreads, 0, current_stream(mu)},
             reparameterize_kernel<group(), packed(), call(), T>, q, noise, rows.count, per_latent, to,
             mutable_data<compute_t<T>>(kl));
    });
    check_launch("reparameterize_kl");
  });
  return {z, kl};
}

std::vector<Tensor> reparameterize_kl_backward(const Tensor& grad_z_, const Tensor& grad_kl_, const Tensor& mu,
                                               const Tensor& logvar, const OptionalTensor& prior_mu,
                                               const OptionalTensor& prior_logvar, const Tensor& seed_, int64_t offset,
                                               bool per_latent) {
  const LatentTensors tensors(mu, logvar, prior_mu, prior_logvar);
  check_reparameterize_grads(grad_z_, grad_kl_, per_latent, mu);
  const Tensor seed = as_contiguous(seed_);
  const Noise noise = noise_of(seed, offset, tensors);
  const DeviceGuard guard(mu.get_device_index());
  const Tensor grad_z = as_contiguous(grad_z_), grad_kl = as_contiguous(grad_kl_);
  const auto gradients = tensors.new_gradients();
  const Rows rows = tensors.rows;
  const Call kind = kind_of(tensors, seed, per_latent);
  if (rows.length == 0 || rows.count == 0) return gradients;

  dispatch_floating(mu.scalar_type(), "mu", [&](auto type) {
    using T = typename decltype(type)::type;
    const Latents<T> q = tensors.from<T>();
    const LatentGradients<T> to = tensors.into<T>(gradients);
    const T* from = data<T>(grad_z);
    dispatch_rows<T>(rows.length, noise.offset, kind, {from, q.mu, q.logvar, to.mu, to.logvar},
                     [&](auto group, auto packed, auto call) {
                       launch({blocks<group()>(rows.count), kThreads, 0, current_stream(mu)},
                              reparameterize_backward_kernel<group(), packed(), call(), T>, from,
                              data<compute_t<T>>(grad_kl), per_latent, q, noise, rows.count, to);
                     });
    check_launch("reparameterize_kl_backward");
  });
  return gradients;
}

}  // namespace

LATENTCORE_CUDA_OPERATORS(m) {
  m.impl("reparameterize_kl", TORCH_BOX(&reparameterize_kl));
  m.impl("reparameterize_kl_backward", TORCH_BOX(&reparameterize_kl_backward));
}

}  // namespace latentcore
