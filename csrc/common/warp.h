// What the CPU and the CUDA operator of `warp` share: checks and the dispatch on the result's type.
#pragma once

#include <string>

#include "common/checks.h"
#include "common/dispatch.h"
#include "common/sizes.h"

namespace latentcore {

inline void check_warp(const Tensor& images, const Tensor& matrix, const Tensor& fill,
                       const std::string& interpolation) {
  check_dim(images, 4, "images");
  check_dim(matrix, 4, "matrix");
  check_dtype(matrix, ScalarType::Double, "matrix");
  check_size(matrix, 0, images.size(0), "matrix");
  check_size(matrix, 2, 2, "matrix");
  check_size(matrix, 3, 3, "matrix");
  STD_TORCH_CHECK(matrix.device() == images.device(), "matrix: expected the device of images");
  check_dtype(fill, ScalarType::Double, "fill");
  STD_TORCH_CHECK(fill.numel() == 1, "fill: expected one number, got ", fill.numel());
  STD_TORCH_CHECK(fill.device() == images.device(), "fill: expected the device of images");
  STD_TORCH_CHECK(images.size(2) > 0 && images.size(3) > 0, "images: expected at least one pixel");
  // pixels of a row are counted in 32 bits
  STD_TORCH_CHECK(images.size(2) < (1 << 30) && images.size(3) < (1 << 30), "images: expected smaller sides");
  elements_of(images.sizes(), "images");
  elements_of(matrix.sizes(), "matrix");
  elements_of({images.size(0), matrix.size(1), images.size(1), images.size(2), images.size(3)}, "the result");
  STD_TORCH_CHECK(interpolation == "bilinear" || interpolation == "nearest",
                  "interpolation: expected 'bilinear' or 'nearest', got '", interpolation, "'");
}

// uint8 images become the result's type, in [0, 1], unless the result is uint8 too.
inline double gain_of(const Tensor& images, ScalarType result) {
  if (images.scalar_type() != result) check_dtype(images, ScalarType::Byte, "images");
  return images.scalar_type() == result ? 1.0 : 1.0 / 255.0;
}

template <class Body>
void dispatch_result(ScalarType dtype, Body&& body) {
  if (dtype == ScalarType::Byte) return body(Type<uint8_t>{});
  dispatch_floating(dtype, "dtype", body);
}

inline void check_warp_backward(const Tensor& grad, const Tensor& images, const Tensor& matrix, const Tensor& fill,
                                const std::string& interpolation, bool for_images) {
  check_warp(images, matrix, fill, interpolation);
  check_dim(grad, 5, "grad");
  STD_TORCH_CHECK(grad.device() == images.device(), "grad: expected the device of images");
  const int64_t expected[] = {images.size(0), matrix.size(1), images.size(1), images.size(2), images.size(3)};
  for (int64_t i = 0; i < 5; ++i) check_size(grad, i, expected[i], "grad");
  const bool bytes = images.scalar_type() == ScalarType::Byte;
  STD_TORCH_CHECK(!(bytes && for_images), "images: expected a floating dtype where a gradient is asked for");
}

}  // namespace latentcore
