// LATENTCORE_FUNCTION and LATENTCORE_MEMBER mark the formulas that both back ends share.
//
// On the host they have internal linkage and are always inlined: the same header is compiled for several instruction
// sets, and a weak symbol made for AVX-512 must never be picked by the linker for the baseline.
#pragma once

#if defined(__CUDACC__)
#define LATENTCORE_FUNCTION __host__ __device__ __forceinline__ static
#define LATENTCORE_MEMBER __host__ __device__ __forceinline__
#define LATENTCORE_UNROLL _Pragma("unroll")
#else
#define LATENTCORE_MEMBER __attribute__((always_inline)) inline
#define LATENTCORE_FUNCTION [[maybe_unused]] __attribute__((always_inline)) static inline
#define LATENTCORE_UNROLL _Pragma("GCC unroll 16")
#endif

// For lambdas in the loops.
#define LATENTCORE_INLINED __attribute__((always_inline))
