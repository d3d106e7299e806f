// What only rms_norm promises; the laws of every operation are in operation_laws_test.cpp.
#include "model/operations/rms_norm/rms_norm.h"

#include <gtest/gtest.h>

#include <cmath>

#include "model/base/error.h"
#include "model/base/tolerance.h"
#include "tests/support/run_operation.h"

namespace stepscope::testing {

TEST(RmsNorm, divides_by_the_root_of_the_mean_square) {
  const std::vector<double> x{3, -4, 0, 5}, scale{1, 2, 3, -1};
  const double epsilon = 0.5, rstd = 1 / std::sqrt((9 + 16 + 0 + 25) / 4.0 + epsilon);
  for (const DType dtype : {DType::fp64, DType::fp32, DType::bf16}) {
    const DType statistic = dtype == DType::fp64 ? DType::fp64 : DType::fp32;
    const Ran ran = run_operation(rms_norm_kind, {.output = dtype, .epsilon = epsilon},
                                  {{dtype, {1, 4}, x}, {statistic, {4}, scale}});
    for (std::size_t i = 0; i < 4; ++i) EXPECT_TRUE(close(ran.outs[0][i], x[i] * rstd * scale[i], dtype));
    EXPECT_TRUE(close(ran.outs[1][0], rstd, statistic));
  }
}

TEST(RmsNorm, does_not_centre) {
  const Ran ran = run_operation(rms_norm_kind, {.epsilon = 1e-12},
                                {{DType::fp32, {1, 100}, all(100, 7)}, {DType::fp32, {100}, all(100, 2)}});
  for (const double y : ran.outs[0]) EXPECT_TRUE(close(y, 2, DType::fp32));
}

TEST(RmsNorm, a_row_of_zeros_stays_one) {
  const Ran ran = run_operation(rms_norm_kind, {.epsilon = 1e-6},
                                {{DType::fp32, {1, 10}, all(10, 0)}, {DType::fp32, {10}, all(10, 1)}});
  EXPECT_EQ(ran.outs[0], all(10, 0));
}

TEST(RmsNorm, refuses_a_scale_of_another_width) {
  try {
    (void)run_operation(rms_norm_kind, {.epsilon = 1e-6},
                        {{DType::fp32, {2, 10}, all(20, 0)}, {DType::fp32, {12}, all(12, 0)}});
    FAIL() << "accepted";
  } catch (const ProgramError& error) {
    EXPECT_STREQ(error.what(), "V2: rms_norm: scale [12], but x has 10 features");
  }
}

}  // namespace stepscope::testing
