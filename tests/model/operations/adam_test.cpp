// What only adam promises; the laws of every operation are in operation_laws_test.cpp.
#include "model/operations/adam/adam.h"

#include <gtest/gtest.h>

#include <cmath>

#include "model/base/tolerance.h"
#include "tests/support/run_operation.h"

namespace stepscope::testing {

namespace {

struct Adam {  // of one parameter after the update
  double p, m, v;
};

Adam update(const Adam& before, double gradient, double learning_rate, double weight_decay = 0,
            std::int64_t updates = 0, double clip_factor = 1) {
  ControlBlock control;
  control.learning_rate = learning_rate;
  control.step = 1000;  // attempted steps do not matter, applied ones do
  control.skips = 1000 - updates;
  control.clip_factor = clip_factor;
  const Ran ran =
      run_operation(adam_kind, {.epsilon = 1e-8, .beta1 = 0.9, .beta2 = 0.999, .weight_decay = weight_decay},
                    {control_operand(), {DType::fp32, {1}, {gradient}}, control_operand()},
                    {{{DType::fp32, {1}, {before.p}}, StateKind::parameter},
                     {{DType::fp32, {1}, {before.m}}, StateKind::moment},
                     {{DType::fp32, {1}, {before.v}}, StateKind::moment}},
                    control);
  return {ran.writes[0][0], ran.writes[1][0], ran.writes[2][0]};
}

}  // namespace

TEST(Adam, first_update_moves_by_the_learning_rate_whatever_the_gradient) {
  for (const double gradient : {1e-3, -20.0, 1e4})
    EXPECT_TRUE(close(update({2, 0, 0}, gradient, 0.125).p, 2 - std::copysign(0.125, gradient), DType::fp32));
}

TEST(Adam, corrects_the_moments_by_applied_updates) {
  // t = 4: by algorithm 1 in fp64.
  const double g = 0.5, m = 0.9 * 0.25 + 0.1 * g, v = 0.999 * 0.01 + 0.001 * g * g;
  const Adam after = update({1, 0.25, 0.01}, g, 0.1, 0, 3);
  EXPECT_TRUE(close(after.m, m, DType::fp32));
  EXPECT_TRUE(close(after.v, v, DType::fp32));
  EXPECT_TRUE(close(after.p, 1 - 0.1 * (m / (1 - std::pow(0.9, 4))) / (std::sqrt(v / (1 - std::pow(0.999, 4))) + 1e-8),
                    DType::fp32));
}

TEST(Adam, decays_weights_apart_from_their_gradient) {
  const Adam after = update({8, 0, 0}, 0, 0.5, 0.25);
  EXPECT_EQ(after.p, 8 - 0.5 * 0.25 * 8);
  EXPECT_EQ(after.m, 0);
}

TEST(Adam, multiplies_gradients_by_the_clip_factor) {
  const Adam clipped = update({1, 0.25, 0.01}, 3, 0.1, 0, 3, 0.25), expected = update({1, 0.25, 0.01}, 0.75, 0.1, 0, 3);
  EXPECT_EQ(clipped.p, expected.p);
  EXPECT_EQ(clipped.m, expected.m);
  EXPECT_EQ(clipped.v, expected.v);
}

TEST(Adam, at_learning_rate_zero_moves_only_the_moments) {
  const Adam after = update({0.7, 0, 0}, 3, 0, 0.1);
  EXPECT_EQ(after.p, static_cast<double>(0.7f));
  EXPECT_TRUE(close(after.m, 0.3, DType::fp32));
}

}  // namespace stepscope::testing
