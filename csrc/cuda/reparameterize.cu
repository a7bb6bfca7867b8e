#include <cstdint>
#include <initializer_list>
#include <tuple>

#include "common/checks.h"
#include "common/dispatch.h"
#include "common/rows.h"
#include "cuda/device.cuh"
#include "cuda/operator.h"
#include "cuda/packs.cuh"
#include "math/gaussian.h"
#include "math/philox.h"

namespace latentcore {
namespace {

constexpr int kThreads = 256;
// Up to 64 registers a thread, 128 for double, which would spill with fewer.
template <class T>
constexpr int kBlocksPerProcessor = sizeof(T) == 8 ? 2 : 4;

// A group of threads works on one row. The unit of work is a quad: the four elements that share one Philox counter. A
// row's first and last quads may reach into its neighbours; those lanes are left out.
struct RowOfQuads {
  int64_t row, begin, end;         // flat elements of the row
  uint64_t first_quad, last_quad;  // counters, `offset` included; the last is exclusive
  int thread;                      // in the group

  __device__ RowOfQuads(int group, uint64_t offset, int64_t L) {
    const int64_t index = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
    row = index / group;
    thread = static_cast<int>(index % group);
    begin = row * L;
    end = begin + L;
    first_quad = (offset + static_cast<uint64_t>(begin)) / 4;
    last_quad = (offset + static_cast<uint64_t>(end) + 3) / 4;
  }
  __device__ bool holds(int64_t i) const { return i >= begin && i < end; }
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

template <int G, bool packed, class T>
__global__ void __launch_bounds__(kThreads, kBlocksPerProcessor<T>)
    reparameterize_kernel(const T* __restrict__ mu, const T* __restrict__ logvar, const int64_t* __restrict__ seed,
                          uint64_t offset, int64_t rows, int64_t L, T* __restrict__ z, compute_t<T>* __restrict__ kl) {
  using C = compute_t<T>;
  const RowOfQuads work(G, offset, L);
  const auto key = static_cast<uint64_t>(*seed);
  double total = 0;  // a quad is summed in C, quads in double: the error does not grow with L
  if (work.row < rows) {
    for (uint64_t quad = work.first_quad + work.thread; quad < work.last_quad; quad += G) {
      const auto first = static_cast<int64_t>(4 * quad - offset);
      C m[4], v[4], sample[4], sum = 0;
      load_quad<packed>(mu, work, first, m);
      load_quad<packed>(logvar, work, first, v);
      normal4(key, quad, sample);
#pragma unroll
      for (int lane = 0; lane < 4; ++lane) {
        const C std = exp(C(0.5) * v[lane]);
        sample[lane] = m[lane] + std * sample[lane];
        if (packed || work.holds(first + lane)) sum += gaussian_kl(m[lane], v[lane], std);
      }
      store_quad<packed>(sample, work, first, z);
      total += sum;
    }
  }
  total = group_sum<G>(total);
  if (work.row < rows && work.thread == 0) kl[work.row] = static_cast<C>(total);
}

template <int G, bool packed, class T>
__global__ void __launch_bounds__(kThreads, kBlocksPerProcessor<T>)
    reparameterize_backward_kernel(const T* __restrict__ grad_z, const compute_t<T>* __restrict__ grad_kl,
                                   const T* __restrict__ mu, const T* __restrict__ logvar,
                                   const int64_t* __restrict__ seed, uint64_t offset, int64_t rows, int64_t L,
                                   T* __restrict__ grad_mu, T* __restrict__ grad_logvar) {
  using C = compute_t<T>;
  const RowOfQuads work(G, offset, L);
  if (work.row >= rows) return;
  const auto key = static_cast<uint64_t>(*seed);
  const C gkl = grad_kl[work.row];
  for (uint64_t quad = work.first_quad + work.thread; quad < work.last_quad; quad += G) {
    const auto first = static_cast<int64_t>(4 * quad - offset);
    C gz[4], m[4], v[4], noise[4];
    load_quad<packed>(grad_z, work, first, gz);
    load_quad<packed>(mu, work, first, m);
    load_quad<packed>(logvar, work, first, v);
    normal4(key, quad, noise);
#pragma unroll
    for (int lane = 0; lane < 4; ++lane) {
      const C std = exp(C(0.5) * v[lane]);
      m[lane] = gz[lane] + gkl * m[lane];
      v[lane] = C(0.5) * gz[lane] * std * noise[lane] + gkl * gaussian_kl_grad_logvar(std);
    }
    store_quad<packed>(m, work, first, grad_mu);
    store_quad<packed>(v, work, first, grad_logvar);
  }
}

// Calls body(G, packed), constants: the group that fits a row of L, one quad a thread, at most a warp; and whether all
// quads lie in memory as packs.
template <class T, class Body>
void dispatch_rows(int64_t L, uint64_t offset, std::initializer_list<const T*> tensors, Body&& body) {
  bool packs = offset % 4 == 0;
  for (const T* tensor : tensors) packs = packs && rows_are_packed(tensor, L, sizeof(T), 4);
  const auto with_group = [&](auto packed) {
    if (L <= 4) return body(std::integral_constant<int, 1>{}, packed);
    if (L <= 16) return body(std::integral_constant<int, 4>{}, packed);
    if (L <= 64) return body(std::integral_constant<int, 16>{}, packed);
    return body(std::integral_constant<int, kWarp>{}, packed);
  };
  if (packs) {
    with_group(std::true_type{});
  } else {
    with_group(std::false_type{});
  }
}

template <int G>
unsigned int blocks(int64_t rows) {
  const int64_t count = (rows * G + kThreads - 1) / kThreads;
  STD_TORCH_CHECK(count < (int64_t{1} << 31), "mu: expected fewer rows, got ", rows);
  return static_cast<unsigned int>(count);
}

template <class T>
void launch_reparameterize(const T* mu, const T* logvar, const int64_t* seed, uint64_t offset, Rows rows, T* z,
                           compute_t<T>* kl, cudaStream_t stream) {
  dispatch_rows<T>(rows.length, offset, {mu, logvar, z}, [&](auto group, auto packed) {
    launch({blocks<group()>(rows.count), kThreads, 0, stream}, reparameterize_kernel<group(), packed(), T>, mu, logvar,
           seed, offset, rows.count, rows.length, z, kl);
  });
  check_launch("reparameterize_kl");
}

template <class T>
void launch_reparameterize_backward(const T* grad_z, const compute_t<T>* grad_kl, const T* mu, const T* logvar,
                                    const int64_t* seed, uint64_t offset, Rows rows, T* grad_mu, T* grad_logvar,
                                    cudaStream_t stream) {
  dispatch_rows<T>(rows.length, offset, {grad_z, mu, logvar, grad_mu, grad_logvar}, [&](auto group, auto packed) {
    launch({blocks<group()>(rows.count), kThreads, 0, stream}, reparameterize_backward_kernel<group(), packed(), T>,
           grad_z, grad_kl, mu, logvar, seed, offset, rows.count, rows.length, grad_mu, grad_logvar);
  });
  check_launch("reparameterize_kl_backward");
}

std::tuple<Tensor, Tensor> reparameterize_kl(const Tensor& mu_, const Tensor& logvar_, const Tensor& seed,
                                             int64_t offset) {
  check_reparameterize(mu_, logvar_, seed);
  const DeviceGuard guard(mu_.get_device_index());
  const Tensor mu = as_contiguous(mu_);
  const Tensor logvar = as_contiguous(logvar_);
  Tensor z = torch::stable::empty_like(mu);
  Tensor kl = allocate(mu, leading_sizes(mu, 1), compute_dtype(mu.scalar_type()));
  const Rows rows = rows_of(mu);
  if (rows.length == 0) return {z, torch::stable::zero_(kl)};
  if (rows.count == 0) return {z, kl};

  dispatch_floating(mu.scalar_type(), "mu", [&](auto type) {
    using T = typename decltype(type)::type;
    launch_reparameterize(data<T>(mu), data<T>(logvar), data<int64_t>(seed), static_cast<uint64_t>(offset), rows,
                          mutable_data<T>(z), mutable_data<compute_t<T>>(kl), current_stream(mu));
  });
  return {z, kl};
}

std::tuple<Tensor, Tensor> reparameterize_kl_backward(const Tensor& grad_z_, const Tensor& grad_kl_, const Tensor& mu_,
                                                      const Tensor& logvar_, const Tensor& seed, int64_t offset) {
  check_reparameterize(mu_, logvar_, seed);
  check_reparameterize_grads(grad_z_, grad_kl_, mu_);
  const DeviceGuard guard(mu_.get_device_index());
  const Tensor mu = as_contiguous(mu_);
  const Tensor logvar = as_contiguous(logvar_);
  const Tensor grad_z = as_contiguous(grad_z_);
  const Tensor grad_kl = as_contiguous(grad_kl_);
  Tensor grad_mu = torch::stable::empty_like(mu);
  Tensor grad_logvar = torch::stable::empty_like(mu);
  const Rows rows = rows_of(mu);
  if (rows.length == 0 || rows.count == 0) return {grad_mu, grad_logvar};

  dispatch_floating(mu.scalar_type(), "mu", [&](auto type) {
    using T = typename decltype(type)::type;
    launch_reparameterize_backward(data<T>(grad_z), data<compute_t<T>>(grad_kl), data<T>(mu), data<T>(logvar),
                                   data<int64_t>(seed), static_cast<uint64_t>(offset), rows, mutable_data<T>(grad_mu),
                                   mutable_data<T>(grad_logvar), current_stream(mu));
  });
  return {grad_mu, grad_logvar};
}

}  // namespace

LATENTCORE_CUDA_OPERATORS(m) {
  m.impl("reparameterize_kl", TORCH_BOX(&reparameterize_kl));
  m.impl("reparameterize_kl_backward", TORCH_BOX(&reparameterize_kl_backward));
}

}  // namespace latentcore
