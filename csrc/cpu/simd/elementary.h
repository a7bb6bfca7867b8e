#pragma once

#include "cpu/simd/levels.h"

namespace latentcore {

// The elementary functions of math/elementary.h over arrays, as tests measure their error at every instruction set.
template <class T>
struct ElementaryLoops {
  using Function = void (*)(const T* x, int64_t size, T* out);
  Function exp, exp_nonpositive, log, twice_artanh, sine_quarter, cosine_quarter;

  template <SimdLevel level>
  static ElementaryLoops at();
};

}  // namespace latentcore

#ifdef LATENTCORE_LEVEL

#include "math/elementary.h"

namespace latentcore {
namespace {

#define LATENTCORE_OVER_ARRAYS(NAME, EXPRESSION)             \
  template <class T>                                         \
  void NAME##_of(const T* x, int64_t size, T* out) {         \
    _Pragma("omp simd") for (int64_t i = 0; i < size; ++i) { \
      [[maybe_unused]] T sine, cosine;                       \
      out[i] = (EXPRESSION);                                 \
    }                                                        \
  }

LATENTCORE_OVER_ARRAYS(exp, exp(x[i]))
LATENTCORE_OVER_ARRAYS(exp_nonpositive, exp_nonpositive(x[i]))
LATENTCORE_OVER_ARRAYS(log, log(x[i]))
LATENTCORE_OVER_ARRAYS(twice_artanh, twice_artanh(x[i]))
LATENTCORE_OVER_ARRAYS(sine_quarter, (sincos_quarter(x[i], sine, cosine), sine))
LATENTCORE_OVER_ARRAYS(cosine_quarter, (sincos_quarter(x[i], sine, cosine), cosine))

#undef LATENTCORE_OVER_ARRAYS

template <class T>
ElementaryLoops<T> elementary() {
  return {&exp_of<T>,          &exp_nonpositive_of<T>, &log_of<T>,
          &twice_artanh_of<T>, &sine_quarter_of<T>,    &cosine_quarter_of<T>};
}

}  // namespace

template <>
template <>
ElementaryLoops<float> ElementaryLoops<float>::at<SimdLevel::LATENTCORE_LEVEL>() {
  return elementary<float>();
}
template <>
template <>
ElementaryLoops<double> ElementaryLoops<double>::at<SimdLevel::LATENTCORE_LEVEL>() {
  return elementary<double>();
}

}  // namespace latentcore

#endif
