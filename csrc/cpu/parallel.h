// Torch's own threads, so that torch.set_num_threads rules them, and the memory of their work.
#pragma once

#include <exception>
#include <initializer_list>
#include <vector>

#include "common/stable.h"

namespace latentcore {

// A product that cannot overflow, for costs, which need not be exact.
inline double cost_of(std::initializer_list<int64_t> factors) {
  double product = 1;
  for (const int64_t factor : factors) product *= static_cast<double>(factor);
  return product;
}

// Calls body(begin, end) on pieces of [0, size). `cost` is the work of one item in elements (roughly a nanosecond
// each); a problem below some microseconds runs on the calling thread.
template <class Body>
void parallel(int64_t size, double cost, const Body& body) {
  constexpr double kGrain = 16384;
  const auto items = static_cast<int64_t>(kGrain / (cost > 1 ? cost : 1.0));
  const int64_t grain = items > 0 ? items : 1;
  if (size <= grain) {
    if (size > 0) body(int64_t{0}, size);
    return;
  }
  torch::stable::parallel_for(0, size, grain, body);
}

// Zeros to work on; where there is no memory for them, an error that says how much was asked for.
template <class T>
std::vector<T> zeros(int64_t size) {
  try {
    return std::vector<T>(static_cast<size_t>(size));
  } catch (const std::exception&) {
    STD_TORCH_CHECK(false, "not enough memory: asked for ", size, " numbers of ", sizeof(T), " bytes");
  }
}

}  // namespace latentcore
