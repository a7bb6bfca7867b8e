// Tensors (..., L) seen as rows of L elements.
#pragma once

#include "common/checks.h"
#include "common/dispatch.h"
#include "common/sizes.h"

namespace latentcore {

struct Rows {
  int64_t count;
  int64_t length;
};

inline Rows rows_of(const Tensor& tensor, const char* name) {
  STD_TORCH_CHECK(tensor.dim() >= 1, name, ": expected at least 1 dimension, got 0");
  elements_of(tensor.sizes(), name);
  return {elements_of(leading_sizes(tensor, 1), name), tensor.size(tensor.dim() - 1)};
}

// The gradient in `size` sums over elements of `model`.
inline void check_grad_of_sums(const Tensor& grad, int64_t size, const Tensor& model, const char* name,
                               const char* model_name) {
  check_dtype(grad, compute_dtype(model.scalar_type()), name);
  STD_TORCH_CHECK(grad.numel() == size, name, ": expected ", size, " elements, got ", grad.numel());
  STD_TORCH_CHECK(grad.device() == model.device(), name, ": expected the device of ", model_name);
}

}  // namespace latentcore
