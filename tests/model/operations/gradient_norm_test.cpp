// What only gradient_norm promises; the laws of every operation are in operation_laws_test.cpp.
#include "model/operations/gradient_norm/gradient_norm.h"

#include <gtest/gtest.h>

#include "model/base/tolerance.h"
#include "tests/support/run_operation.h"

namespace stepscope::testing {

namespace {

ControlBlock norm_of(const std::vector<Tensor>& gradients, double clip) {
  std::vector<Tensor> ins{control_operand()};
  ins.insert(ins.end(), gradients.begin(), gradients.end());
  return run_operation(gradient_norm_kind, {.clip = clip}, ins).control;
}

const std::vector<Tensor> three_and_four{{DType::fp32, {1}, {3}}, {DType::fp32, {2, 2}, {2, -2, 2, -2}}};

}  // namespace

TEST(GradientNorm, is_the_length_over_all_tensors) {
  const ControlBlock control = norm_of(three_and_four, 0);
  EXPECT_EQ(control.gradient_norm, 5);
  EXPECT_EQ(control.clip_factor, 1);  // clip 0: none
}

TEST(GradientNorm, clips_what_is_longer_only) {
  EXPECT_EQ(norm_of(three_and_four, 6).clip_factor, 1);
  EXPECT_EQ(norm_of(three_and_four, 5).clip_factor, 1);
  EXPECT_EQ(norm_of(three_and_four, 2.5).clip_factor, 0.5);
}

TEST(GradientNorm, keeps_squares_that_fp32_cannot_hold) {
  const std::int64_t n = 40000;  // several partial sums
  EXPECT_TRUE(close(norm_of({{DType::fp32, {n}, all(n, 1e-30)}}, 0).gradient_norm * 1e30, 200, DType::fp32));
  EXPECT_TRUE(close(norm_of({{DType::fp32, {n}, all(n, 1e30)}}, 0).gradient_norm * 1e-30, 200, DType::fp32));
}

}  // namespace stepscope::testing
