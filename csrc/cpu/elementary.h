// For latentcore._C: the elementary functions by name.
#pragma once

#include <string>

#include "cpu/simd/levels.h"

namespace latentcore {

// out[i] = name(x[i]) at the SIMD level in use; false where there is no such function.
LATENTCORE_EXPORT bool evaluate_elementary(const std::string& name, const float* x, int64_t size, float* out);
LATENTCORE_EXPORT bool evaluate_elementary(const std::string& name, const double* x, int64_t size, double* out);

}  // namespace latentcore
