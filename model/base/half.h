// The two 16-bit floating types, and one vocabulary for loops over any floating type:
//     const Accumulator<T> sum = load(x[i]) + load(y[i]);   // computed in float, for double in double
//     z[i] = store<T>(sum);                                // rounded to nearest even
//     dispatch(dtype, [&]<class T>() { add<T>(...); });    // DType -> C++ type; throws ProgramError (V2) for an integer type
// Integer arithmetic and selects, no branches: gcc vectorises loops over them. Infinities, signed zeros and subnormals are exact;
// a NaN stays one (quiet, upper payload bits kept, as the processors' own instructions do). fp16 overflows to infinity from 65520 on.
#pragma once

#include <cstdint>
#include <string>
#include <type_traits>

#include "model/base/body.h"
#include "model/base/dtype.h"
#include "model/base/error.h"

namespace stepscope {

struct bf16 {  // 1 sign, 8 exponent, 7 mantissa bits: the upper half of a float
  std::uint16_t bits;
};

struct fp16 {  // IEEE 754 binary16: 1 sign, 5 exponent, 10 mantissa bits
  std::uint16_t bits;
};

template <class T>
inline constexpr bool is_floating =
    std::is_same_v<T, double> || std::is_same_v<T, float> || std::is_same_v<T, bf16> || std::is_same_v<T, fp16>;

template <class T>
using Accumulator = std::conditional_t<std::is_same_v<T, double>, double, float>;

STEPSCOPE_INLINE constexpr float to_float(bf16 x) { return bits_as<float>(std::uint32_t{x.bits} << 16); }

STEPSCOPE_INLINE constexpr bf16 to_bf16(float x) {
  const std::uint32_t u = bits_as<std::uint32_t>(x);
  const std::uint32_t rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
  const std::uint32_t quiet = (u >> 16) | 0x40u;
  return {static_cast<std::uint16_t>((u & 0x7fffffffu) > 0x7f800000u ? quiet : rounded)};
}

STEPSCOPE_INLINE constexpr float to_float(fp16 x) {
  constexpr std::uint32_t rebias = (127u - 15u) << 23, smallest_normal = 113u << 23;  // 2^-14
  const std::uint32_t sign = (x.bits & 0x8000u) << 16;
  const std::uint32_t magnitude = (x.bits & 0x7fffu) << 13;
  const std::uint32_t exponent = magnitude & (0x1fu << 23);
  const std::uint32_t normal = magnitude + rebias;
  const std::uint32_t infinite_or_nan = (magnitude + 2u * rebias) | (magnitude << 9 >> 9 != 0u ? 0x400000u : 0u);
  const std::uint32_t subnormal =
      bits_as<std::uint32_t>(bits_as<float>(magnitude + smallest_normal) - bits_as<float>(smallest_normal));
  const std::uint32_t finite = exponent == 0u ? subnormal : normal;
  return bits_as<float>((exponent == (0x1fu << 23) ? infinite_or_nan : finite) | sign);
}

STEPSCOPE_INLINE constexpr fp16 to_fp16(float x) {
  constexpr std::uint32_t overflow = (127u + 16u) << 23, smallest_normal = 113u << 23;
  constexpr std::uint32_t half_unit = ((127u - 15u) + (23u - 10u) + 1u)
                                      << 23;  // 0.5: adding it rounds at the last subnormal bit
  const std::uint32_t sign = bits_as<std::uint32_t>(x) & 0x80000000u;
  const std::uint32_t u = bits_as<std::uint32_t>(x) ^ sign;
  const std::uint32_t normal = (u - ((127u - 15u) << 23) + 0xfffu + ((u >> 13) & 1u)) >> 13;
  const std::uint32_t subnormal = bits_as<std::uint32_t>(bits_as<float>(u) + bits_as<float>(half_unit)) - half_unit;
  const std::uint32_t infinite_or_nan = u > 0x7f800000u ? (0x7e00u | ((u >> 13) & 0x1ffu)) : 0x7c00u;
  const std::uint32_t finite = u < smallest_normal ? subnormal : normal;
  return {static_cast<std::uint16_t>((u >= overflow ? infinite_or_nan : finite) | (sign >> 16))};
}

STEPSCOPE_INLINE constexpr double load(double x) { return x; }
STEPSCOPE_INLINE constexpr float load(float x) { return x; }
STEPSCOPE_INLINE constexpr float load(bf16 x) { return to_float(x); }
STEPSCOPE_INLINE constexpr float load(fp16 x) { return to_float(x); }

template <class T>
STEPSCOPE_INLINE constexpr T store(Accumulator<T> x) {
  static_assert(is_floating<T>);
  if constexpr (std::is_same_v<T, bf16>)
    return to_bf16(x);
  else if constexpr (std::is_same_v<T, fp16>)
    return to_fp16(x);
  else
    return x;
}

template <class T>
inline constexpr DType dtype_of = [] {
  static_assert(is_floating<T> || std::is_same_v<T, std::int32_t> || std::is_same_v<T, std::uint8_t>);
  if constexpr (std::is_same_v<T, double>) return DType::fp64;
  if constexpr (std::is_same_v<T, float>) return DType::fp32;
  if constexpr (std::is_same_v<T, bf16>) return DType::bf16;
  if constexpr (std::is_same_v<T, fp16>) return DType::fp16;
  if constexpr (std::is_same_v<T, std::int32_t>) return DType::int32;
  return DType::u8;
}();

template <class Body>
decltype(auto) dispatch(DType dtype, Body&& body) {
  switch (dtype) {
    case DType::fp64: return body.template operator()<double>();
    case DType::fp32: return body.template operator()<float>();
    case DType::bf16: return body.template operator()<bf16>();
    case DType::fp16: return body.template operator()<fp16>();
    case DType::int32:
    case DType::u8: break;
  }
  throw ProgramError("V2", "a floating type is needed here, not " + std::string(name_of(dtype)));
}

}  // namespace stepscope
