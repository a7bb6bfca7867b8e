// Sizes are multiplied here. A tensor without elements may claim any of them, `empty(0, 2**62)` among them, and so may
// an expanded one; what they add up to in 64 bits would then be any number, as would every offset made of it.
#pragma once

#include <initializer_list>
#include <sstream>
#include <string>

#include "common/stable.h"

namespace latentcore {

using Sizes = torch::headeronly::IntHeaderOnlyArrayRef;

// A process has 2^47 addresses, so that no tensor with elements has more. Room is left below 2^63 for what is made of
// a tensor's size times a constant: bytes, blocks of samples, partial sums.
constexpr int64_t kMostElements = int64_t{1} << 47;

inline std::string in_words(Sizes sizes) {
  std::ostringstream words;
  for (size_t i = 0; i < sizes.size(); ++i) words << (i == 0 ? "(" : ", ") << sizes[i];
  words << ')';
  return words.str();
}

// The elements of a tensor of these sizes. The product of those that are not 0 is an error where it is too large, so
// that the product of any of them can be formed.
inline int64_t elements_of(Sizes sizes, const char* name) {
  int64_t product = 1;
  bool empty = false;
  for (const int64_t size : sizes) {
    empty = empty || size == 0;
    if (size == 0) continue;
    STD_TORCH_CHECK(size <= kMostElements / product, name,
                    ": expected sizes with a product of at most 2^47, leaving out 0, got ", in_words(sizes));
    product *= size;
  }
  return empty ? 0 : product;
}

// The sizes but the last `count`.
inline Sizes leading_sizes(const Tensor& tensor, int64_t count) {
  return tensor.sizes().slice(0, static_cast<size_t>(tensor.dim() - count));
}

}  // namespace latentcore
