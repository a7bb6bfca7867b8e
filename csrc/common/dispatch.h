// From a tensor's dtype to a template argument.
#pragma once

#include <exception>
#include <optional>

#include "common/sizes.h"
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

// The tensor of these sizes that `make` returns, or an error that names them: torch's own words do not come through its
// stable ABI.
template <class Make>
Tensor made(Sizes sizes, const Make& make) {
  try {
    return make();
  } catch (const std::exception&) {
    STD_TORCH_CHECK(false, "a tensor of the sizes ", in_words(sizes), " could not be made: is there enough memory?");
  }
}

// A tensor to be filled, on the device of `like`.
inline Tensor allocate(const Tensor& like, Sizes sizes, std::optional<ScalarType> dtype = {}) {
  return made(sizes, [&] { return torch::stable::new_empty(like, sizes, dtype); });
}

// The tensor itself where it is contiguous: asking torch for it costs a call through the dispatcher.
inline Tensor as_contiguous(const Tensor& tensor) {
  if (tensor.is_contiguous()) return tensor;
  return made(tensor.sizes(), [&] { return torch::stable::contiguous(tensor); });
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
