// Fresh memory costs a page fault for every page that is first written to: with pages of 4 KiB more time than the work.
#pragma once

#include <sys/mman.h>

#include "common/stable.h"

namespace latentcore {

// Asks the kernel for huge pages under a large tensor that is about to be filled; a refusal changes nothing.
inline const Tensor& advise_huge_pages(const Tensor& tensor) {
  constexpr uintptr_t kHugePage = uintptr_t{1} << 21;
  const auto begin = reinterpret_cast<uintptr_t>(tensor.const_data_ptr());
  const uintptr_t bytes = static_cast<uintptr_t>(tensor.numel()) * tensor.element_size();
  const uintptr_t first = (begin + kHugePage - 1) / kHugePage * kHugePage;
  const uintptr_t last = (begin + bytes) / kHugePage * kHugePage;
  if (bytes >= 2 * kHugePage && first < last) {
    madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
  }
  return tensor;
}

}  // namespace latentcore
