// What only dropout_add promises; the laws of every operation (the same mask under any split among them) are in operation_laws_test.cpp.
#include "model/operations/dropout_add/dropout_add.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "model/base/philox.h"
#include "tests/support/run_operation.h"

namespace stepscope::testing {

namespace {

constexpr std::int64_t tokens = 64, features = 999, elements = tokens * features;
const Shape shape{2, tokens / 2, features};

// Ones through dropout: 2 where kept at rate 1/2.
std::vector<double> kept_ones(double rate, const ControlBlock& control, int site = 0) {
  const Tensor ones{DType::fp32, shape, all(elements, 1)}, zeros{DType::fp32, shape, all(elements, 0)};
  return run_operation(dropout_add_kind, {.rate = rate, .random_site = site}, {ones, zeros, control_operand()}, {},
                       control)
      .outs[0];
}

std::int64_t count_zeros(const std::vector<double>& numbers) { return std::count(numbers.begin(), numbers.end(), 0.0); }

ControlBlock control_at(std::int64_t step, std::uint64_t seed, std::int64_t micro_step = 0) {
  ControlBlock control;
  control.step = step;
  control.seed = seed;
  control.micro_step = micro_step;
  return control;
}

}  // namespace

TEST(DropoutAdd, draws_what_philox_says_of_each_token_and_feature) {
  const double rate = 0.25;
  const std::vector<double> y = kept_ones(rate, control_at(9, 0xfedcba9876543210, 3), 5);
  for (std::int64_t token = 0; token < tokens; ++token)
    for (std::int64_t h = 0; h < features; ++h) {
      const Words4 four = dropout_bits(0xfedcba9876543210, 5, 9, static_cast<std::uint32_t>(3 * tokens + token),
                                       static_cast<std::uint32_t>(h / 4));
      const double expected = four.word[h % 4] >= drop_threshold(rate) ? static_cast<double>(1 / 0.75f) : 0;
      ASSERT_EQ(y[static_cast<std::size_t>(token * features + h)], expected) << token << ", " << h;
    }
}

TEST(DropoutAdd, drops_the_share_that_was_asked_for) {
  for (const double rate : {0.1, 0.5, 0.9}) {
    const double deviation = std::sqrt(rate * (1 - rate) / elements);
    EXPECT_NEAR(static_cast<double>(count_zeros(kept_ones(rate, control_at(0, 1)))) / elements, rate, 5 * deviation);
  }
}

TEST(DropoutAdd, draws_anew_at_every_step_site_seed_and_micro_step) {
  const std::vector<double> first = kept_ones(0.5, control_at(0, 1));
  EXPECT_NE(first, kept_ones(0.5, control_at(1, 1)));
  EXPECT_NE(first, kept_ones(0.5, control_at(0, 2)));
  EXPECT_NE(first, kept_ones(0.5, control_at(0, 1ull << 32 | 1)));  // the seed's upper half counts
  EXPECT_NE(first, kept_ones(0.5, control_at(0, 1, 1)));
  EXPECT_NE(first, kept_ones(0.5, control_at(0, 1), 1));
  EXPECT_EQ(first, kept_ones(0.5, control_at(0, 1)));
}

TEST(DropoutAdd, backward_drops_what_forward_dropped) {
  const ControlBlock control = control_at(4, 7);
  const Ran back = run_operation(dropout_gradient_kind, {.rate = 0.5, .random_site = 2},
                                 {{DType::fp32, shape, all(elements, 1)}, control_operand()}, {}, control);
  EXPECT_EQ(back.outs[0], kept_ones(0.5, control, 2));
}

}  // namespace stepscope::testing
