// bf16 and fp16: exact where a value exists, the nearest one (ties to even) where it does not.
#include "model/base/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace stepscope {
namespace {

constexpr std::uint32_t patterns = 0x10000;

template <class T>
T of_bits(std::uint32_t bits) {
  return {static_cast<std::uint16_t>(bits)};
}

// What a pattern means, by the definition of the format: sign, exponent, mantissa. Infinity and NaN are the caller's.
double value_by_definition(std::uint32_t bits, int mantissa_bits, int bias) {
  const double sign = bits & 0x8000u ? -1 : 1;
  const int exponent = static_cast<int>((bits & 0x7fffu) >> mantissa_bits);
  const double fraction = std::ldexp(bits & ((1u << mantissa_bits) - 1), -mantissa_bits);
  return sign * (exponent == 0 ? std::ldexp(fraction, 1 - bias) : std::ldexp(1 + fraction, exponent - bias));
}

template <class T>
struct Format;
template <>
struct Format<bf16> {
  static constexpr int mantissa_bits = 7, bias = 127;
  static constexpr std::uint32_t infinity = 0x7f80;
};
template <>
struct Format<fp16> {
  static constexpr int mantissa_bits = 10, bias = 15;
  static constexpr std::uint32_t infinity = 0x7c00;
};

template <class T>
class Half : public testing::Test {};
using Halves = testing::Types<bf16, fp16>;
TYPED_TEST_SUITE(Half, Halves);

TYPED_TEST(Half, loads_every_pattern_as_defined) {
  using F = Format<TypeParam>;
  for (std::uint32_t bits = 0; bits < patterns; ++bits) {
    const float loaded = load(of_bits<TypeParam>(bits));
    const std::uint32_t magnitude = bits & 0x7fffu;
    if (magnitude > F::infinity)
      ASSERT_TRUE(std::isnan(loaded)) << bits;
    else if (magnitude == F::infinity)
      ASSERT_EQ(loaded, bits & 0x8000u ? -INFINITY : INFINITY) << bits;
    else
      ASSERT_EQ(loaded, value_by_definition(bits, F::mantissa_bits, F::bias)) << bits;
    ASSERT_EQ(std::signbit(loaded), (bits & 0x8000u) != 0) << bits;
  }
}

TYPED_TEST(Half, stores_what_it_loaded) {
  using F = Format<TypeParam>;
  for (std::uint32_t bits = 0; bits < patterns; ++bits) {
    const std::uint32_t again = store<TypeParam>(load(of_bits<TypeParam>(bits))).bits;
    const bool nan = (bits & 0x7fffu) > F::infinity;
    const std::uint32_t quiet = 1u << (F::mantissa_bits - 1);
    ASSERT_EQ(again, nan ? bits | quiet : bits);
  }
}

// Between every two neighbours: a quarter goes down, three quarters go up, the middle goes to the even one; and one float beside the
// middle goes to its own side. The largest finite value's upper neighbour is infinity, at its place in the sequence.
TYPED_TEST(Half, rounds_to_the_nearest_and_ties_to_even) {
  using F = Format<TypeParam>;
  for (std::uint32_t bits = 0; bits < F::infinity; ++bits) {
    const double low = value_by_definition(bits, F::mantissa_bits, F::bias);
    const double high = value_by_definition(bits + 1, F::mantissa_bits, F::bias);
    const auto middle = static_cast<float>((low + high) / 2);
    if (middle != (low + high) / 2 || std::isinf(middle)) continue;  // not a float: nothing rounds there
    for (const std::uint32_t sign : {0u, 0x8000u}) {
      const float s = sign != 0 ? -1.0f : 1.0f;
      const auto stored = [&](float magnitude) { return std::uint32_t{store<TypeParam>(s * magnitude).bits}; };
      ASSERT_EQ(stored(static_cast<float>(low + (high - low) / 4)), bits | sign) << low;
      ASSERT_EQ(stored(static_cast<float>(low + (high - low) * 3 / 4)), (bits + 1) | sign) << low;
      ASSERT_EQ(stored(middle), (bits + (bits & 1)) | sign) << low;
      ASSERT_EQ(stored(std::nextafter(middle, 0.0f)), bits | sign) << low;
      ASSERT_EQ(stored(std::nextafter(middle, INFINITY)), (bits + 1) | sign) << low;
    }
  }
}

TYPED_TEST(Half, keeps_infinities_and_nan) {
  using F = Format<TypeParam>;
  EXPECT_EQ(store<TypeParam>(INFINITY).bits, F::infinity);
  EXPECT_EQ(store<TypeParam>(-INFINITY).bits, F::infinity | 0x8000u);
  EXPECT_EQ(store<TypeParam>(std::numeric_limits<float>::max()).bits, F::infinity);
  EXPECT_EQ(store<TypeParam>(-0.0f).bits, 0x8000u);
  for (const std::uint32_t nan :
       {0x7f800001u, 0x7fffffffu, 0xffc00000u, 0xff800001u}) {  // payload only in the lowest bit, all bits, signs
    float value;
    std::memcpy(&value, &nan, sizeof value);
    EXPECT_TRUE(std::isnan(load(store<TypeParam>(value)))) << nan;
  }
}

TEST(Half, fp16_overflows_from_65520_on) {
  EXPECT_EQ(store<fp16>(std::nextafter(65520.0f, 0.0f)).bits, 0x7bffu);  // 65504, the largest
  EXPECT_EQ(store<fp16>(65520.0f).bits, 0x7c00u);
}

TEST(Half, wide_types_pass_through) {
  EXPECT_EQ(store<float>(load(0.1f)), 0.1f);
  EXPECT_EQ(store<double>(load(0.1)), 0.1);
  static_assert(std::is_same_v<Accumulator<bf16>, float> && std::is_same_v<Accumulator<double>, double>);
}

TEST(Dispatch, calls_with_the_type_of_the_dtype) {
  for (const DType dtype : {DType::fp64, DType::fp32, DType::bf16, DType::fp16})
    EXPECT_EQ(dispatch(dtype, []<class T>() { return dtype_of<T>; }), dtype);
  EXPECT_EQ(dtype_of<std::int32_t>, DType::int32);
  EXPECT_EQ(dtype_of<std::uint8_t>, DType::u8);
  EXPECT_THROW(dispatch(DType::int32, []<class T>() {}), ProgramError);
}

}  // namespace
}  // namespace stepscope
