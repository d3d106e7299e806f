// What only layer_norm promises; the laws of every operation are in operation_laws_test.cpp.
#include "model/operations/layer_norm/layer_norm.h"

#include <gtest/gtest.h>

#include "model/base/error.h"
#include "model/base/tolerance.h"
#include "tests/support/run_operation.h"

namespace stepscope::testing {

namespace {

Ran layer_norm_of(const Tensor& x) {
  const std::int64_t features = x.shape.last();
  return run_operation(layer_norm_kind, {.epsilon = 1e-6},
                       {x, {DType::fp32, {features}, all(features, 1)}, {DType::fp32, {features}, all(features, 0)}});
}

}  // namespace

TEST(LayerNorm, keeps_a_row_far_from_zero) {
  // Mean 4096, deviation 1: E[x^2] - mean^2 would be exactly 0 in fp32.
  const Ran ran = layer_norm_of({DType::fp32, {2, 1024}, alternating(2048, 4095, 4097)});
  for (std::size_t i = 0; i < 2048; ++i) EXPECT_TRUE(close(ran.outs[0][i], i % 2 == 0 ? -1 : 1, DType::fp32));
}

TEST(LayerNorm, a_constant_row_becomes_zeros) {
  const Ran ran = layer_norm_of({DType::fp32, {1, 100}, all(100, 7)});
  EXPECT_EQ(ran.outs[0], all(100, 0));
  EXPECT_TRUE(close(ran.outs[2][0] * 1e-3, 1, DType::fp32));  // 1 / sqrt(epsilon)
}

TEST(LayerNorm, refuses_a_scale_of_another_width) {
  const Tensor x{DType::fp32, {2, 10}, all(20, 0)}, narrow{DType::fp32, {10}, all(10, 0)},
      wide{DType::fp32, {12}, all(12, 0)};
  try {
    (void)run_operation(layer_norm_kind, {.epsilon = 1e-6}, {x, wide, narrow});
    FAIL() << "accepted";
  } catch (const ProgramError& error) {
    EXPECT_STREQ(error.what(), "V2: layer_norm: scale [12], but x has 10 features");
  }
}

}  // namespace stepscope::testing
