// Denormal numbers as zero in all threads of torch: its own torch.set_flush_denormal changes the calling one alone.
#include <immintrin.h>

#include "common/stable.h"

namespace latentcore {
namespace {

constexpr unsigned kFlush = _MM_FLUSH_ZERO_ON | 0x0040;  // results, and what is read (denormals are zeros)

void flush_denormals(int64_t threads, bool on) {
  torch::stable::parallel_for(
      0, threads, 1, [&](int64_t, int64_t) { _mm_setcsr(on ? _mm_getcsr() | kFlush : _mm_getcsr() & ~kFlush); });
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(latentcore, CompositeExplicitAutograd, m) {
  m.impl("flush_denormals", TORCH_BOX(&flush_denormals));
}

}  // namespace latentcore
