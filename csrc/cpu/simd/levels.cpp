#include "cpu/simd/levels.h"

#include <atomic>
#include <cstdlib>
#include <cstring>

namespace latentcore {
namespace {

SimdLevel from_environment() {
  const SimdLevel best = best_simd_level();
  const char* wanted = std::getenv("LATENTCORE_SIMD");
  if (wanted == nullptr) return best;
  SimdLevel level = best;
  if (std::strcmp(wanted, "baseline") == 0) level = SimdLevel::baseline;
  if (std::strcmp(wanted, "avx2") == 0) level = SimdLevel::avx2;
  return level < best ? level : best;
}

std::atomic<SimdLevel>& current() {
  static std::atomic<SimdLevel> level{from_environment()};
  return level;
}

}  // namespace

SimdLevel best_simd_level() {
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    return SimdLevel::avx512;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c")) {
    return SimdLevel::avx2;
  }
  return SimdLevel::baseline;
}

SimdLevel simd_level() { return current().load(std::memory_order_relaxed); }

void set_simd_level(SimdLevel level) { current().store(level, std::memory_order_relaxed); }

}  // namespace latentcore
