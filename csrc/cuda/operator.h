// What the operators of the CUDA library share: their registration, device, stream and errors, on a card and under the
// runtime of the tests, which registers the same operators for the CPU in a library of its own.
#pragma once

#include <cuda_runtime.h>

#include "common/stable.h"

#if defined(__CUDACC__)

#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>

#define LATENTCORE_CUDA_OPERATORS(m) STABLE_TORCH_LIBRARY_IMPL(latentcore, CUDA, m)

namespace latentcore {

using DeviceGuard = torch::stable::accelerator::DeviceGuard;

// The stream on which torch wants a kernel to run.
inline cudaStream_t current_stream(const Tensor& tensor) {
  void* stream = nullptr;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(tensor.get_device_index(), &stream));
  return static_cast<cudaStream_t>(stream);
}

}  // namespace latentcore

#else

#define LATENTCORE_CUDA_OPERATORS(m) STABLE_TORCH_LIBRARY_IMPL(latentcore_cuda_host, CPU, m)

namespace latentcore {

struct DeviceGuard {
  explicit DeviceGuard(int) {}
};

inline cudaStream_t current_stream(const Tensor&) { return nullptr; }

}  // namespace latentcore

#endif

namespace latentcore {

// A kernel that could not be launched (no code for this card, too many resources) is an error at the call.
inline void check_launch(const char* kernel) {
  const cudaError_t error = cudaGetLastError();
  STD_TORCH_CHECK(error == cudaSuccess, kernel, ": ", cudaGetErrorString(error));
}

}  // namespace latentcore
