// The loops of every operator are compiled once per instruction set and chosen at run time.
//
// simd/<stem>.h declares a struct of function pointers, `<Stem>Loops<T>`, for everybody, and defines the loops where
// LATENTCORE_LEVEL is set: in one translation unit per level, which CMake writes. An operator calls
// `loops<StemLoops<T>>().forward(...)`.
#pragma once

#include <cstdint>

#include "math/storage.h"

// latentcore._C shares the choice with the operators
#define LATENTCORE_EXPORT __attribute__((visibility("default")))

namespace latentcore {

// x86-64-v2 (SSE4.2); AVX2 with FMA and F16C; AVX-512 F, BW, CD, DQ and VL
enum class SimdLevel { baseline, avx2, avx512 };

// The best level of this processor, or LATENTCORE_SIMD where it is set.
LATENTCORE_EXPORT SimdLevel simd_level();
// The best level of this processor.
LATENTCORE_EXPORT SimdLevel best_simd_level();
// For tests; the level must not be above best_simd_level().
LATENTCORE_EXPORT void set_simd_level(SimdLevel level);

template <class Loops>
Loops loops() {
  switch (simd_level()) {
    case SimdLevel::avx512:
      return Loops::template at<SimdLevel::avx512>();
    case SimdLevel::avx2:
      return Loops::template at<SimdLevel::avx2>();
    default:
      return Loops::template at<SimdLevel::baseline>();
  }
}

}  // namespace latentcore

#ifdef LATENTCORE_LEVEL

// At the foot of simd/<stem>.h: LATENTCORE_LOOPS(StemLoops, &stem<T>, &stem_backward<T>)
#define LATENTCORE_LOOPS(NAME, ...)                                      \
  template <class T>                                                     \
  template <SimdLevel level>                                             \
  NAME<T> NAME<T>::at() {                                                \
    return {__VA_ARGS__};                                                \
  }                                                                      \
  template NAME<float> NAME<float>::at<SimdLevel::LATENTCORE_LEVEL>();   \
  template NAME<double> NAME<double>::at<SimdLevel::LATENTCORE_LEVEL>(); \
  template NAME<half> NAME<half>::at<SimdLevel::LATENTCORE_LEVEL>();     \
  template NAME<bfloat16> NAME<bfloat16>::at<SimdLevel::LATENTCORE_LEVEL>();

#endif
