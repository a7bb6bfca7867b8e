// Checks that native code makes so that no argument can crash it. Python has checked before with better words
// (ValueError, TypeError); these guard direct calls of torch.ops.latentcore.
#pragma once

#include "common/stable.h"

namespace latentcore {

inline bool same_sizes(const Tensor& a, const Tensor& b) {
  const auto left = a.sizes();
  const auto right = b.sizes();
  if (left.size() != right.size()) return false;
  for (size_t i = 0; i < left.size(); ++i) {
    if (left[i] != right[i]) return false;
  }
  return true;
}

inline void check_dim(const Tensor& tensor, int64_t dim, const char* name) {
  STD_TORCH_CHECK(tensor.dim() == dim, name, ": expected ", dim, " dimensions, got ", tensor.dim());
}

inline void check_size(const Tensor& tensor, int64_t dim, int64_t size, const char* name) {
  STD_TORCH_CHECK(tensor.size(dim) == size, name, ": expected size ", size, " in dimension ", dim, ", got ",
                  tensor.size(dim));
}

inline void check_dtype(const Tensor& tensor, ScalarType dtype, const char* name) {
  STD_TORCH_CHECK(tensor.scalar_type() == dtype, name, ": expected dtype ", dtype, ", got ", tensor.scalar_type());
}

// Same shape, dtype and device.
inline void check_like(const Tensor& tensor, const Tensor& model, const char* name, const char* model_name) {
  STD_TORCH_CHECK(same_sizes(tensor, model), name, ": expected the shape of ", model_name);
  check_dtype(tensor, model.scalar_type(), name);
  STD_TORCH_CHECK(tensor.device() == model.device(), name, ": expected the device of ", model_name);
}

}  // namespace latentcore
