// What only cross_entropy promises; the laws of every operation are in operation_laws_test.cpp.
#include "model/operations/cross_entropy/cross_entropy.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "model/base/tolerance.h"
#include "tests/support/run_operation.h"

namespace stepscope::testing {

namespace {

Ran cross_entropy_of(std::int64_t vocabulary, std::vector<double> logits, std::vector<double> targets,
                     double token_count) {
  ControlBlock control;
  control.token_count = token_count;
  control.loss_sum = 0.5;  // of earlier micro-steps
  const auto rows = static_cast<std::int64_t>(targets.size());
  return run_operation(cross_entropy_kind, {.output = DType::fp32},
                       {{DType::fp32, {1, rows, vocabulary}, std::move(logits)},
                        {DType::int32, {1, rows}, std::move(targets)},
                        control_operand()},
                       {}, control);
}

}  // namespace

TEST(CrossEntropy, of_equal_logits_is_the_logarithm_of_their_number) {
  const Ran ran = cross_entropy_of(3000, all(6000, -7), {0, 2999}, 4);
  EXPECT_TRUE(close(ran.outs[0][0], 2 * std::log(3000) / 4, DType::fp32));
  EXPECT_TRUE(close(ran.control.loss_sum, 0.5 + 2 * std::log(3000), DType::fp32));
  EXPECT_TRUE(close(ran.outs[1][0] * 3000, (1.0 - 3000) / 4, DType::fp32));
  EXPECT_TRUE(close(ran.outs[1][1] * 3000, 1.0 / 4, DType::fp32));
}

TEST(CrossEntropy, neither_overflows_nor_vanishes) {
  // The greatest logit stands in the last block of columns, far above the others.
  std::vector<double> logits = alternating(2048, -1e30, 1e4);
  logits[2047] = 3e4;
  const Ran ran = cross_entropy_of(2048, logits, {2047}, 1);
  EXPECT_EQ(ran.outs[0][0], 0);
  EXPECT_EQ(ran.outs[1], all(2048, 0));
  EXPECT_EQ(cross_entropy_of(2048, logits, {1}, 1).outs[0][0], 2e4);
}

TEST(CrossEntropy, ignored_targets_have_no_loss_and_no_gradient) {
  const Ran ran = cross_entropy_of(2, {0, 0, 5, 9, 0, 0}, {1, -1, 0}, 2);
  EXPECT_TRUE(close(ran.outs[0][0], std::log(2), DType::fp32));
  EXPECT_EQ(ran.outs[1][2], 0);
  EXPECT_EQ(ran.outs[1][3], 0);
}

TEST(CrossEntropy, without_any_target_is_zero) {
  const Ran ran = cross_entropy_of(2, {1, 2, 3, 4}, {-1, -1}, 0);
  EXPECT_EQ(ran.outs[0][0], 0);
  EXPECT_EQ(ran.outs[1], all(4, 0));
  EXPECT_EQ(ran.control.loss_sum, 0.5);
}

TEST(CrossEntropy, gradients_of_a_row_sum_to_zero) {
  std::vector<double> logits;
  for (int i = 0; i < 700; ++i) logits.push_back(std::sin(i) * 4);
  const std::vector<double> gradient = cross_entropy_of(700, logits, {123}, 1).outs[1];
  EXPECT_TRUE(close(std::accumulate(gradient.begin(), gradient.end(), 0.0), 0, DType::fp32));
}

}  // namespace stepscope::testing
