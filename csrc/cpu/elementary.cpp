#include "cpu/elementary.h"

#include "cpu/simd/elementary.h"

namespace latentcore {
namespace {

template <class T>
bool evaluate(const std::string& name, const T* x, int64_t size, T* out) {
  const auto all = loops<ElementaryLoops<T>>();
  typename ElementaryLoops<T>::Function function = nullptr;
  if (name == "exp") function = all.exp;
  if (name == "exp_nonpositive") function = all.exp_nonpositive;
  if (name == "log") function = all.log;
  if (name == "twice_artanh") function = all.twice_artanh;
  if (name == "sine_quarter") function = all.sine_quarter;
  if (name == "cosine_quarter") function = all.cosine_quarter;
  if (function != nullptr) function(x, size, out);
  return function != nullptr;
}

}  // namespace

bool evaluate_elementary(const std::string& name, const float* x, int64_t size, float* out) {
  return evaluate(name, x, size, out);
}

bool evaluate_elementary(const std::string& name, const double* x, int64_t size, double* out) {
  return evaluate(name, x, size, out);
}

}  // namespace latentcore
