// exp, log, tanh, sqrt and small helpers for bodies. The float forms are branch-free polynomials that g++ -O3 -fno-math-errno
// -fno-trapping-math turns into vector code without -ffast-math (which would reorder sums and delete the splitting of ln 2 below).
//     y[i] = tanh_of(x[i]);   // float: within 1.25 ulp (exp), 1 (log), 1.5 (tanh) of the true value; double: the C library's
// Special values are those of the C library: exp(-inf) = 0, log(0) = -inf, log(x < 0) = NaN, tanh(+-inf) = +-1, NaN stays NaN, -0 stays -0.
// Source of the coefficients: Moshier's Cephes library, single precision (expf, logf, tanhf).
#pragma once

#include <cmath>
#include <cstdint>

#include "model/base/body.h"

namespace stepscope {

// a b + c, left to the compiler to fuse: a call to fma inside a selected expression keeps gcc 12 from vectorising the loop.
STEPSCOPE_INLINE constexpr float multiply_add(float a, float b, float c) { return a * b + c; }

STEPSCOPE_INLINE float abs_of(float x) { return bits_as<float>(bits_as<std::uint32_t>(x) & 0x7fffffffu); }
STEPSCOPE_INLINE double abs_of(double x) { return std::fabs(x); }
STEPSCOPE_INLINE float sqrt_of(float x) { return std::sqrt(x); }
STEPSCOPE_INLINE double sqrt_of(double x) { return std::sqrt(x); }

// The greater of two; a NaN in `b` is dropped, a NaN in `a` kept: running maxima go into `b`.
template <class T>
STEPSCOPE_INLINE constexpr T max_of(T a, T b) {
  return a < b ? b : a;
}
template <class T>
STEPSCOPE_INLINE constexpr T min_of(T a, T b) {
  return b < a ? b : a;
}

namespace math_detail {

constexpr float ln2_high = 0.693359375f,
                ln2_low = -2.12194440e-4f;  // high has 9 bits: n * high is exact for every exponent n

STEPSCOPE_INLINE float power_of_two(std::int32_t n) {  // -126 <= n <= 127
  return bits_as<float>(static_cast<std::uint32_t>(n + 127) << 23);
}

// x = n ln 2 + r with |r| <= ln 2 / 2; returns e^r in [0.7, 1.42] and n. Needs |x| < 170, no NaN.
struct Reduced {
  float mantissa;
  std::int32_t exponent;
};
STEPSCOPE_INLINE Reduced reduced_exp(float x) {
  constexpr std::int32_t shift =
      256;  // truncating a positive number plus one half rounds to nearest, in one instruction everywhere
  const std::int32_t n = static_cast<std::int32_t>(multiply_add(x, 1.44269504088896341f, shift + 0.5f)) - shift;
  const auto count = static_cast<float>(n);
  const float r = multiply_add(-count, ln2_low, multiply_add(-count, ln2_high, x));
  float p = 1.9875691500e-4f;
  p = multiply_add(p, r, 1.3981999507e-3f);
  p = multiply_add(p, r, 8.3334519073e-3f);
  p = multiply_add(p, r, 4.1665795894e-2f);
  p = multiply_add(p, r, 1.6666665459e-1f);
  p = multiply_add(p, r, 5.0000001201e-1f);
  return {multiply_add(p, r * r, r) + 1.0f, n};
}

}  // namespace math_detail

STEPSCOPE_INLINE float exp_of(float x) {
  constexpr float last_nonzero = -103.972076f, overflow = 89.0f;  // e^x rounds to 0 below, to infinity from 88.73 on
  const bool computed = x >= last_nonzero;  // masked scores (very negative) then cost no subnormal arithmetic
  const float above = computed ? x : 0.0f;
  const float inside = above < overflow ? above : overflow;
  const math_detail::Reduced reduced = math_detail::reduced_exp(inside);
  const std::int32_t half = reduced.exponent / 2;  // two steps: 2^n itself may be subnormal or infinite
  const float value =
      reduced.mantissa * math_detail::power_of_two(half) * math_detail::power_of_two(reduced.exponent - half);
  const float replaced = x == x ? 0.0f : x;
  return computed ? value : replaced;
}
STEPSCOPE_INLINE double exp_of(double x) { return std::exp(x); }

STEPSCOPE_INLINE float log_of(float x) {
  constexpr float smallest_normal = 0x1p-126f;
  constexpr std::uint32_t sqrt_half = 0x3f3504f3u;
  const bool subnormal = x < smallest_normal;
  const std::uint32_t u = bits_as<std::uint32_t>(subnormal ? x * 0x1p23f : x);
  const std::int32_t n = static_cast<std::int32_t>(u - sqrt_half) >> 23;  // x = 2^n m with m in [sqrt(1/2), sqrt(2))
  const float m = bits_as<float>(u - (static_cast<std::uint32_t>(n) << 23)) - 1.0f;
  const float exponent = static_cast<float>(subnormal ? n - 23 : n);
  float p = 7.0376836292e-2f;
  p = multiply_add(p, m, -1.1514610310e-1f);
  p = multiply_add(p, m, 1.1676998740e-1f);
  p = multiply_add(p, m, -1.2420140846e-1f);
  p = multiply_add(p, m, 1.4249322787e-1f);
  p = multiply_add(p, m, -1.6668057665e-1f);
  p = multiply_add(p, m, 2.0000714765e-1f);
  p = multiply_add(p, m, -2.4999993993e-1f);
  p = multiply_add(p, m, 3.3333331174e-1f);
  const float square = m * m;
  float tail = multiply_add(exponent, math_detail::ln2_low, p * m * square);
  tail = multiply_add(square, -0.5f, tail);
  const float finite = multiply_add(exponent, math_detail::ln2_high, m + tail);
  const float positive = x < INFINITY ? finite : x;  // infinity and NaN answer themselves
  const float at_most_zero = x == 0.0f ? -INFINITY : NAN;
  return x <= 0.0f ? at_most_zero : positive;
}
STEPSCOPE_INLINE double log_of(double x) { return std::log(x); }

STEPSCOPE_INLINE float tanh_of(float x) {
  const float magnitude = abs_of(x);
  const float square = x * x;
  float p = -5.70498872745e-3f;
  p = multiply_add(p, square, 2.06390887954e-2f);
  p = multiply_add(p, square, -5.37397155531e-2f);
  p = multiply_add(p, square, 1.33314422036e-1f);
  p = multiply_add(p, square, -3.33332819422e-1f);
  const float small = multiply_add(p * square, magnitude, magnitude);
  const float inside = magnitude < 20.0f ? magnitude : 20.0f;  // tanh rounds to 1 from 9.02 on
  const math_detail::Reduced reduced = math_detail::reduced_exp(2.0f * inside);
  const float large = 1.0f - 2.0f / (reduced.mantissa * math_detail::power_of_two(reduced.exponent) + 1.0f);
  const float result = magnitude >= 0.625f ? large : small;  // a NaN takes the polynomial and stays one
  return bits_as<float>(bits_as<std::uint32_t>(result) | (bits_as<std::uint32_t>(x) & 0x80000000u));
}
STEPSCOPE_INLINE double tanh_of(double x) { return std::tanh(x); }

}  // namespace stepscope
