// What only rotary promises: the angles of its positions, by the published formulas, and that scores then depend on distances alone.
// The laws of every operation are in operation_laws_test.cpp.
#include "model/operations/rotary/rotary.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <random>

#include "model/base/error.h"
#include "model/base/tolerance.h"
#include "tests/support/run_operation.h"

namespace stepscope::testing {

namespace {

std::vector<double> drawn(std::int64_t count) {
  std::mt19937 random(7);
  std::vector<double> numbers(static_cast<std::size_t>(count));
  for (double& x : numbers) x = std::uniform_int_distribution(-64, 64)(random) / 32.0;  // exact in every type
  return numbers;
}

// Pairs as complex numbers: turning multiplies by e^(i a).
std::complex<double> pair_of(const std::vector<double>& row, std::size_t first, std::size_t i, std::size_t width) {
  return {row[first + i], row[first + i + width / 2]};
}

// Llama 3.1's rule, by wavelengths as it is published.
double stretched(double frequency, const RotaryScale& s) {
  const double wavelength = 2 * M_PI / frequency, tokens = static_cast<double>(s.original);
  if (wavelength < tokens / s.high) return frequency;
  if (wavelength > tokens / s.low) return frequency / s.factor;
  const double smooth = (tokens / wavelength - s.low) / (s.high - s.low);
  return (1 - smooth) * frequency / s.factor + smooth * frequency;
}

constexpr int heads = 6, width = 8;
constexpr std::int64_t kv_heads = 2, batch = 2, sequence = 50, features = (heads + 2 * kv_heads) * width;

Attributes attributes_of(const RotaryScale& scale) { return {.heads = heads, .head_dim = width, .rotary = scale}; }

void expect_turned(const RotaryScale& scale, DType dtype) {
  const std::vector<double> x = drawn(batch * sequence * features);
  const Ran ran = run_operation(rotary_kind, attributes_of(scale), {{dtype, {batch, sequence, features}, x}});
  for (std::size_t row = 0; row < batch * sequence; ++row)
    for (std::size_t head = 0; head < features / width; ++head) {
      const std::size_t first = row * features + head * width;
      const bool is_value = head % (heads / kv_heads + 2) == heads / kv_heads + 1;
      for (std::size_t i = 0; i < width / 2; ++i) {
        const double plain = std::pow(scale.theta, -2.0 * static_cast<double>(i) / width);
        const double frequency = scale.original > 0 ? stretched(plain, scale) : plain;
        const double angle = static_cast<double>(row % sequence) * frequency;
        const auto expected = pair_of(x, first, i, width) * std::polar(1.0, is_value ? 0 : angle);
        const auto got = pair_of(ran.outs[0], first, i, width);
        ASSERT_TRUE(close(got.real(), expected.real(), dtype)) << row << " " << head << " " << i;
        ASSERT_TRUE(close(got.imag(), expected.imag(), dtype)) << row << " " << head << " " << i;
      }
    }
}

}  // namespace

TEST(Rotary, turns_queries_and_keys_by_their_positions_and_leaves_values) {
  for (const DType dtype : {DType::fp64, DType::fp32, DType::bf16}) {
    expect_turned({.theta = 10000}, dtype);
    // Of the four wavelengths 6.3, 28, 126, 561 the first stays, the second goes over, the others are stretched.
    expect_turned({.theta = 400, .factor = 8, .low = 1, .high = 4, .original = 64}, dtype);
  }
}

TEST(Rotary, scores_depend_on_distances_alone) {
  const std::vector<double> x = drawn(features);
  std::vector<double> alike;
  for (std::int64_t row = 0; row < sequence; ++row) alike.insert(alike.end(), x.begin(), x.end());
  const Ran ran =
      run_operation(rotary_kind, attributes_of({.theta = 100}), {{DType::fp64, {1, sequence, features}, alike}});
  const auto score = [&](std::int64_t query, std::int64_t key) {
    double sum = 0;
    for (std::int64_t d = 0; d < width; ++d)
      sum += ran.outs[0][static_cast<std::size_t>(query * features + d)] *
             ran.outs[0][static_cast<std::size_t>(key * features + heads / kv_heads * width + d)];
    return sum;
  };
  for (const std::int64_t distance : {0, 1, 17})
    for (std::int64_t key = 0; key + distance < sequence; ++key)
      EXPECT_TRUE(close(score(key + distance, key), score(distance, 0), DType::fp64));
  EXPECT_FALSE(close(score(1, 0), score(0, 0), DType::fp64));
}

TEST(Rotary, the_gradient_turns_back) {
  const Tensor x{DType::fp64, {batch, sequence, features}, drawn(batch * sequence * features)};
  const Attributes attributes = attributes_of({.theta = 10000});
  const Ran there = run_operation(rotary_kind, attributes, {x});
  const Ran back = run_operation(rotary_gradient_kind, attributes, {{x.dtype, x.shape, there.outs[0]}});
  for (std::size_t i = 0; i < x.numbers.size(); ++i) EXPECT_TRUE(close(back.outs[0][i], x.numbers[i], DType::fp64));
}

TEST(Rotary, refuses_what_does_not_pack_its_heads) {
  for (const Attributes& attributes : {Attributes{.heads = 6, .head_dim = 7}, Attributes{.heads = 5, .head_dim = 8},
                                       Attributes{.heads = 10, .head_dim = 8}})
    EXPECT_THROW((void)run_operation(rotary_kind, attributes, {{DType::fp32, {1, 1, features}, all(features, 0)}}),
                 ProgramError);
}

}  // namespace stepscope::testing
