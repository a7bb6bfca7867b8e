// A sum in shared memory, right and with one fault each that the runtime must show: they are what a slip in a kernel
// looks like. The operator is in a library of its own.
#include <string>

#include "common/dispatch.h"
#include "cuda/device.cuh"
#include "cuda/operator.h"

namespace latentcore {
namespace {

constexpr int kThreads = 128;

enum class Fault { none, no_barrier, off_by_one, race, wrong_mask, early_return, partial_warp, lost_update };

// out[block] = sum of the block's numbers
template <Fault fault>
__global__ void block_sum_kernel(const float* x, int64_t size, float* out) {
  LATENTCORE_SHARED(float, values, kThreads);
  const auto thread = static_cast<int>(threadIdx.x);
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + thread;
  if (fault == Fault::early_return && i >= size) return;
  values[thread] = i < size ? x[i] : 0.0f;
  if (fault != Fault::no_barrier) __syncthreads();
  for (int distance = kThreads / 2; distance >= kWarp; distance /= 2) {
    if (fault == Fault::race) {
      // every thread adds, also those whose number another thread is reading
      values[thread] += values[(thread + distance) % kThreads];
    } else if (thread < distance) {
      values[thread] += values[thread + distance + (fault == Fault::off_by_one ? 1 : 0)];
    }
    __syncthreads();
  }
  if (thread >= (fault == Fault::partial_warp ? kWarp - 4 : kWarp)) return;
  float sum = values[thread];
  const unsigned mask = fault == Fault::wrong_mask ? 0x0000ffffu : kFullMask;
  for (int distance = kWarp / 2; distance > 0; distance /= 2) sum += __shfl_xor_sync(mask, sum, distance);
  if (thread == 0) out[blockIdx.x] = sum;
}

// All threads of the grid add to one number.
template <Fault fault>
__global__ void total_kernel(const float* x, int64_t size, float* out) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const float value = i < size ? x[i] : 0.0f;
  if (fault == Fault::lost_update) {
    const float before = *out;
    __syncthreads();
    *out = before + value;
  } else {
    atomicAdd(out, value);
  }
}

template <Fault fault>
void run(const Tensor& x, const Tensor& sums, const Tensor& total) {
  const auto blocks = static_cast<unsigned int>(sums.numel());
  launch({blocks, kThreads, 0, nullptr}, block_sum_kernel<fault>, data<float>(x), x.numel(), mutable_data<float>(sums));
  check_launch("block_sum");
  launch({blocks, kThreads, 0, nullptr}, total_kernel<fault>, data<float>(x), x.numel(), mutable_data<float>(total));
  check_launch("total");
}

Tensor sum(const Tensor& x, std::string fault) {
  const Tensor sums = torch::stable::new_zeros(x, {(x.numel() + kThreads - 1) / kThreads + 1});
  const Tensor blocks = torch::stable::narrow(const_cast<Tensor&>(sums), 0, 0, sums.numel() - 1);
  const Tensor total = torch::stable::narrow(const_cast<Tensor&>(sums), 0, sums.numel() - 1, 1);
  if (fault == "none") run<Fault::none>(x, blocks, total);
  if (fault == "no_barrier") run<Fault::no_barrier>(x, blocks, total);
  if (fault == "off_by_one") run<Fault::off_by_one>(x, blocks, total);
  if (fault == "race") run<Fault::race>(x, blocks, total);
  if (fault == "wrong_mask") run<Fault::wrong_mask>(x, blocks, total);
  if (fault == "early_return") run<Fault::early_return>(x, blocks, total);
  if (fault == "partial_warp") run<Fault::partial_warp>(x, blocks, total);
  if (fault == "lost_update") run<Fault::lost_update>(x, blocks, total);
  return sums;
}

}  // namespace

STABLE_TORCH_LIBRARY(latentcore_cuda_host_faults, m) { m.def("sum(Tensor x, str fault) -> Tensor"); }
STABLE_TORCH_LIBRARY_IMPL(latentcore_cuda_host_faults, CPU, m) { m.impl("sum", TORCH_BOX(&sum)); }

}  // namespace latentcore
