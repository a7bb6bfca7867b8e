// Torch's own threads, so that torch.set_num_threads rules them.
#pragma once

#include "common/stable.h"

namespace latentcore {

// Calls body(begin, end) on pieces of [0, size). `cost` is the work of one item in elements (roughly a nanosecond
// each); a problem below some microseconds runs on the calling thread.
template <class Body>
void parallel(int64_t size, int64_t cost, const Body& body) {
  constexpr int64_t kGrain = 16384;
  const int64_t items = kGrain / (cost > 0 ? cost : 1);
  const int64_t grain = items > 0 ? items : 1;
  if (size <= grain) {
    if (size > 0) body(int64_t{0}, size);
    return;
  }
  torch::stable::parallel_for(0, size, grain, body);
}

}  // namespace latentcore
