// From a tensor's dtype to a template argument.
#pragma once

#include "common/stable.h"
#include "math/storage.h"

namespace latentcore {

template <class T>
struct Type {
  using type = T;
};

// Calls body(Type<T>{}) with T the storage type of `dtype`.
template <class Body>
auto dispatch_floating(ScalarType dtype, const char* name, Body&& body) {
  switch (dtype) {
    case ScalarType::Float:
      return body(Type<float>{});
    case ScalarType::Double:
      return body(Type<double>{});
    case ScalarType::Half:
      return body(Type<half>{});
    case ScalarType::BFloat16:
      return body(Type<bfloat16>{});
    default:
      STD_TORCH_CHECK(false, name, ": expected float32, float64, float16 or bfloat16, got ", dtype);
  }
}

// The dtype of sums over elements of `dtype`: at least float32.
inline ScalarType compute_dtype(ScalarType dtype) {
  return dtype == ScalarType::Double ? ScalarType::Double : ScalarType::Float;
}

// The tensor itself where it is contiguous: asking torch for it costs a call through the dispatcher.
inline Tensor as_contiguous(const Tensor& tensor) {
  return tensor.is_contiguous() ? tensor : torch::stable::contiguous(tensor);
}

template <class T>
const T* data(const Tensor& tensor) {
  return static_cast<const T*>(tensor.const_data_ptr());
}

template <class T>
T* mutable_data(const Tensor& tensor) {
  return static_cast<T*>(tensor.mutable_data_ptr());
}

}  // namespace latentcore
