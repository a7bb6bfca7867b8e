// exp, log, artanh near 0, sqrt and the sine and cosine of a fraction of a turn, for float and double.
//
// On the host each is straight-line code without branches or tables, so that a loop over it becomes SIMD code at every
// instruction set; on CUDA the device library serves. Polynomials: Cephes (Moshier), expf/exp/logf/log/sin/cos.
#pragma once

#include <cstdint>

#include "math/storage.h"

namespace latentcore {

template <class T>
LATENTCORE_FUNCTION T min(T a, T b) {
  return a < b ? a : b;
}
template <class T>
LATENTCORE_FUNCTION T max(T a, T b) {
  return a > b ? a : b;
}
LATENTCORE_FUNCTION float abs(float x) { return bit_copy<float>(bit_copy<uint32_t>(x) & 0x7fffffffu); }
LATENTCORE_FUNCTION double abs(double x) { return bit_copy<double>(bit_copy<uint64_t>(x) & 0x7fffffffffffffffu); }

#if defined(__CUDACC__)

LATENTCORE_FUNCTION float floor(float x) { return ::floorf(x); }
LATENTCORE_FUNCTION double floor(double x) { return ::floor(x); }
LATENTCORE_FUNCTION float exp(float x) { return ::expf(x); }
LATENTCORE_FUNCTION double exp(double x) { return ::exp(x); }
LATENTCORE_FUNCTION float exp_nonpositive(float x) { return ::expf(x); }
LATENTCORE_FUNCTION double exp_nonpositive(double x) { return ::exp(x); }
LATENTCORE_FUNCTION float log(float x) { return ::logf(x); }
LATENTCORE_FUNCTION double log(double x) { return ::log(x); }
LATENTCORE_FUNCTION float log_normal(float x) { return ::logf(x); }
LATENTCORE_FUNCTION double log_normal(double x) { return ::log(x); }
LATENTCORE_FUNCTION float sqrt(float x) { return ::sqrtf(x); }
LATENTCORE_FUNCTION double sqrt(double x) { return ::sqrt(x); }

#else

LATENTCORE_FUNCTION float floor(float x) { return __builtin_floorf(x); }
LATENTCORE_FUNCTION double floor(double x) { return __builtin_floor(x); }
LATENTCORE_FUNCTION float sqrt(float x) { return __builtin_sqrtf(x); }
LATENTCORE_FUNCTION double sqrt(double x) { return __builtin_sqrt(x); }

namespace detail {

// 2^n for n in the range of normal numbers
LATENTCORE_FUNCTION float power_of_two(uint32_t n) { return bit_copy<float>((n + 127u) << 23); }
LATENTCORE_FUNCTION double power_of_two(uint64_t n) { return bit_copy<double>((n + 1023u) << 52); }

// n / 2, rounded down, for |n| < 4096 in two's complement. Only unsigned shifts: an arithmetic shift of 64 bits is no
// instruction of SSE or AVX2.
template <class T>
LATENTCORE_FUNCTION T halve(T n) {
  return ((n + T{4096}) >> 1) - T{2048};
}

// Adding and taking off 1.5 * 2^23 (2^52) rounds to the nearest integer without a conversion instruction; the low
// bits of the sum are that integer.
constexpr float kRoundFloat = 12582912.0f;
constexpr double kRoundDouble = 6755399441055744.0;

}  // namespace detail

namespace detail {

// exp(x) = fraction * 2^exponent with a fraction near 1, the exponent in two's complement
struct FloatPower {
  float fraction;
  uint32_t exponent;
};
struct DoublePower {
  double fraction;
  uint64_t exponent;
};

LATENTCORE_FUNCTION FloatPower exp_parts(float x) {
  const float shifted = x * 1.44269504088896341f + kRoundFloat;
  const float n = shifted - kRoundFloat;
  float r = x - n * 0.693359375f;
  r = r + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  return {p, bit_copy<uint32_t>(shifted) - bit_copy<uint32_t>(kRoundFloat)};
}

LATENTCORE_FUNCTION DoublePower exp_parts(double x) {
  const double shifted = x * 1.4426950408889634073599 + kRoundDouble;
  const double n = shifted - kRoundDouble;
  double r = x - n * 6.93145751953125e-1;
  r = r - n * 1.42860682030941723212e-6;
  const double rr = r * r;
  double p = 1.26177193074810590878e-4;
  p = p * rr + 3.02994407707441961300e-2;
  p = (p * rr + 9.99999999999999999910e-1) * r;
  double q = 3.00198505138664455042e-6;
  q = q * rr + 2.52448340349684104192e-3;
  q = q * rr + 2.27265548208155028766e-1;
  q = q * rr + 2.00000000000000000009e0;
  return {1.0 + 2.0 * (p / (q - p)), bit_copy<uint64_t>(shifted) - bit_copy<uint64_t>(kRoundDouble)};
}

// Two factors, since 2^n alone leaves the range of normal numbers at both ends.
template <class Power>
LATENTCORE_FUNCTION auto scale(Power power) {
  const auto half = halve(power.exponent);
  return power.fraction * power_of_two(half) * power_of_two(power.exponent - half);
}

}  // namespace detail

// NaN fails both comparisons and goes through unchanged.
LATENTCORE_FUNCTION float exp(float x) {
  return detail::scale(detail::exp_parts(x > 89.0f ? 89.0f : (x < -104.0f ? -104.0f : x)));
}
LATENTCORE_FUNCTION double exp(double x) {
  return detail::scale(detail::exp_parts(x > 710.0 ? 710.0 : (x < -746.0 ? -746.0 : x)));
}

// exp(x) for x <= 0, with 0 in place of results that are not normal numbers. The selections choose between constants:
// g++ makes SIMD code of no other.
LATENTCORE_FUNCTION float exp_nonpositive(float x) {
  const float kept = x < -87.3f ? 0.0f : 1.0f;
  const detail::FloatPower power = detail::exp_parts(x < -87.3f ? -87.3f : x);
  return power.fraction * kept * detail::power_of_two(power.exponent);
}
LATENTCORE_FUNCTION double exp_nonpositive(double x) {
  const double kept = x < -708.3 ? 0.0 : 1.0;
  const detail::DoublePower power = detail::exp_parts(x < -708.3 ? -708.3 : x);
  return power.fraction * kept * detail::power_of_two(power.exponent);
}

// log of a finite number > 0 that is not denormal, plus log(2^shift)
LATENTCORE_FUNCTION float log_normal(float x, float shift = 0.0f) {
  const auto bits = bit_copy<uint32_t>(x);
  // mantissa in [sqrt(1/2), sqrt(2)); the exponent is biased by 256 to stay positive
  const uint32_t biased = (bits - 0x3f3504f3u + (256u << 23)) >> 23;
  const float m = bit_copy<float>(bits - ((biased - 256u) << 23)) - 1.0f;
  const float n = static_cast<float>(static_cast<int32_t>(biased) - 256) + shift;
  const float mm = m * m;
  float p = 7.0376836292e-2f;
  p = p * m - 1.1514610310e-1f;
  p = p * m + 1.1676998740e-1f;
  p = p * m - 1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f;
  p = p * m - 1.6668057665e-1f;
  p = p * m + 2.0000714765e-1f;
  p = p * m - 2.4999993993e-1f;
  p = p * m + 3.3333331174e-1f;
  float y = m * mm * p;
  y = y - n * 2.12194440e-4f;
  y = y - 0.5f * mm;
  return m + y + n * 0.693359375f;
}

LATENTCORE_FUNCTION float log(float x) {
  const bool tiny = x < 1.17549435e-38f;
  const float infinity = __builtin_inff();
  float result = log_normal(tiny ? x * 33554432.0f : x, tiny ? -25.0f : 0.0f);
  result = x == infinity ? infinity : result;
  result = x == 0.0f ? -infinity : result;
  return x >= 0.0f ? result : __builtin_nanf("");
}

LATENTCORE_FUNCTION double log_normal(double x, double shift = 0.0) {
  const auto bits = bit_copy<uint64_t>(x);
  const uint64_t biased = (bits - 0x3fe6a09e667f3bcdu + (uint64_t{2048} << 52)) >> 52;
  const double m = bit_copy<double>(bits - ((biased - 2048u) << 52)) - 1.0;
  // a small integer to double without the conversion that only AVX-512 has: through the low bits of 1.5 * 2^52
  const double n =
      bit_copy<double>(bit_copy<uint64_t>(detail::kRoundDouble) + biased) - detail::kRoundDouble - 2048.0 + shift;
  const double mm = m * m;
  double p = 1.01875663804580931796e-4;
  p = p * m + 4.97494994976747001425e-1;
  p = p * m + 4.70579119878881725854e0;
  p = p * m + 1.44989225341610930846e1;
  p = p * m + 1.79368678507819816313e1;
  p = p * m + 7.70838733755885391666e0;
  double q = m + 1.12873587189167450590e1;
  q = q * m + 4.52279145837532221105e1;
  q = q * m + 8.29875266912776603211e1;
  q = q * m + 7.11544750618563894466e1;
  q = q * m + 2.31251620126765340583e1;
  double y = m * (mm * p / q);
  y = y - n * 2.121944400546905827679e-4;
  y = y - 0.5 * mm;
  return m + y + n * 0.693359375;
}

LATENTCORE_FUNCTION double log(double x) {
  const bool tiny = x < 2.2250738585072014e-308;
  const double infinity = __builtin_inf();
  double result = log_normal(tiny ? x * 18014398509481984.0 : x, tiny ? -54.0 : 0.0);
  result = x == infinity ? infinity : result;
  result = x == 0.0 ? -infinity : result;
  return x >= 0.0 ? result : __builtin_nan("");
}

#endif

// 2 artanh(s) = log((1 + s) / (1 - s)) for |s| <= 1/3, by its series.
LATENTCORE_FUNCTION float twice_artanh(float s) {
  const float ss = s * s;
  float p = 0.0666666667f;
  p = p * ss + 0.0769230769f;
  p = p * ss + 0.0909090909f;
  p = p * ss + 0.1111111111f;
  p = p * ss + 0.1428571429f;
  p = p * ss + 0.2f;
  p = p * ss + 0.3333333333f;
  const float twice = s + s;
  return twice + twice * ss * p;
}

LATENTCORE_FUNCTION double twice_artanh(double s) {
  const double ss = s * s;
  double p = 1.0 / 33;
  LATENTCORE_UNROLL
  for (int n = 31; n >= 3; n -= 2) p = p * ss + 1.0 / n;
  const double twice = s + s;
  return twice + twice * ss * p;
}

// sin and cos of x * pi / 2 for x in [-1/2, 1/2] (an eighth of a turn to either side).
LATENTCORE_FUNCTION void sincos_quarter(float x, float& sine, float& cosine) {
  const float a = x * 1.57079632679489662f;
  const float aa = a * a;
  float s = -1.9515295891e-4f;
  s = s * aa + 8.3321608736e-3f;
  s = s * aa - 1.6666654611e-1f;
  sine = s * aa * a + a;
  float c = 2.443315711809948e-5f;
  c = c * aa - 1.388731625493765e-3f;
  c = c * aa + 4.166664568298827e-2f;
  cosine = c * aa * aa - 0.5f * aa + 1.0f;
}

LATENTCORE_FUNCTION void sincos_quarter(double x, double& sine, double& cosine) {
  const double a = x * 1.57079632679489661923;
  const double aa = a * a;
  double s = 1.58962301576546568060e-10;
  s = s * aa - 2.50507477628578072866e-8;
  s = s * aa + 2.75573136213857245213e-6;
  s = s * aa - 1.98412698295895385996e-4;
  s = s * aa + 8.33333333332211858878e-3;
  s = s * aa - 1.66666666666666307295e-1;
  sine = s * aa * a + a;
  double c = -1.13585365213876817300e-11;
  c = c * aa + 2.08757008419747316778e-9;
  c = c * aa - 2.75573141792967388112e-7;
  c = c * aa + 2.48015872888517045348e-5;
  c = c * aa - 1.38888888888730564116e-3;
  c = c * aa + 4.16666666666665929218e-2;
  cosine = c * aa * aa - 0.5 * aa + 1.0;
}

}  // namespace latentcore
