// What only gelu promises; the laws of every operation are in operation_laws_test.cpp.
#include "model/operations/gelu/gelu.h"

#include <gtest/gtest.h>

#include <cmath>

#include "model/base/tolerance.h"
#include "tests/support/run_operation.h"

namespace stepscope::testing {

TEST(Gelu, is_the_tanh_form) {
  std::vector<double> u, expected;
  for (int i = -80; i <= 80; ++i) {
    const double x = i / 16.0;
    u.push_back(x);
    expected.push_back(x / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))));
  }
  for (const DType dtype : {DType::fp64, DType::fp32, DType::bf16}) {
    const Ran ran = run_operation(gelu_kind, {}, {{dtype, {161}, u}});
    for (std::size_t i = 0; i < u.size(); ++i)
      EXPECT_TRUE(close(ran.outs[0][i], expected[i], dtype)) << u[i] << " in " << name_of(dtype);
  }
}

TEST(Gelu, is_the_identity_far_above_zero_and_nothing_far_below) {
  const std::vector<double> far{20, 1e4, 1e12};
  const Ran above = run_operation(gelu_kind, {}, {{DType::fp32, {3}, far}});
  const Ran below = run_operation(gelu_kind, {}, {{DType::fp32, {3}, {-far[0], -far[1], -far[2]}}});
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(above.outs[0][i], static_cast<double>(static_cast<float>(far[i])));
    EXPECT_EQ(below.outs[0][i], 0);
  }
}

TEST(Gelu, slope_is_one_far_above_zero_and_nothing_far_below) {
  const Tensor dg{DType::fp32, {4}, all(4, 3)};
  const Ran ran = run_operation(gelu_gradient_kind, {}, {dg, {DType::fp32, {4}, {1e12, 20, -20, -1e12}}});
  EXPECT_EQ(ran.outs[0], (std::vector<double>{3, 3, 0, 0}));
}

}  // namespace stepscope::testing
