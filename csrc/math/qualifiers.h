// LATENTCORE_FUNCTION marks the formulas that both back ends share.
//
// On the host they have internal linkage and are always inlined: the same header is compiled for several instruction
// sets, and a weak symbol made for AVX-512 must never be picked by the linker for the baseline.
#pragma once

#if defined(__CUDACC__)
#define LATENTCORE_FUNCTION __host__ __device__ __forceinline__ static
#define LATENTCORE_UNROLL _Pragma("unroll")
#else
#define LATENTCORE_FUNCTION [[maybe_unused]] __attribute__((always_inline)) static inline
#define LATENTCORE_UNROLL _Pragma("GCC unroll 16")
#endif

// For lambdas and members of the loops.
#define LATENTCORE_INLINED __attribute__((always_inline))
