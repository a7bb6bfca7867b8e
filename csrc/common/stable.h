// The only file that includes torch's headers: the stable ABI of libtorch, version 2.11.
#pragma once

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <cstdint>

namespace latentcore {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

}  // namespace latentcore
