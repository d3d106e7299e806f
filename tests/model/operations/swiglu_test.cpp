// What only swiglu promises; the laws of every operation are in operation_laws_test.cpp.
#include "model/operations/swiglu/swiglu.h"

#include <gtest/gtest.h>

#include <cmath>

#include "model/base/error.h"
#include "model/base/tolerance.h"
#include "tests/support/run_operation.h"

namespace stepscope::testing {

TEST(Swiglu, is_the_silu_of_the_gate_times_up) {
  std::vector<double> gate, up, expected;
  for (int i = -80; i <= 80; ++i) {
    const double z = i / 16.0, u = 1 - i / 32.0;
    gate.push_back(z), up.push_back(u), expected.push_back(z / (1 + std::exp(-z)) * u);
  }
  for (const DType dtype : {DType::fp64, DType::fp32, DType::bf16}) {
    const Ran ran = run_operation(swiglu_kind, {}, {{dtype, {161}, gate}, {dtype, {161}, up}});
    for (std::size_t i = 0; i < gate.size(); ++i)
      EXPECT_TRUE(close(ran.outs[0][i], expected[i], dtype)) << gate[i] << " in " << name_of(dtype);
  }
}

TEST(Swiglu, a_gate_far_above_zero_is_open_and_far_below_shut) {
  const Tensor gate{DType::fp32, {4}, {20, 1e12, -1000, -1e12}}, up{DType::fp32, {4}, all(4, 2)};
  const Ran ran = run_operation(swiglu_kind, {}, {gate, up});
  EXPECT_EQ(ran.outs[0], (std::vector<double>{40, 2 * static_cast<double>(1e12F), 0, 0}));
  const Ran slope = run_operation(swiglu_gradient_kind, {}, {{DType::fp32, {4}, all(4, 2)}, gate, up});
  for (const std::size_t i : {0, 1}) EXPECT_TRUE(close(slope.outs[0][i], 4, DType::fp32));
  for (const std::size_t i : {2, 3}) EXPECT_EQ(slope.outs[0][i], 0);
}

TEST(Swiglu, refuses_halves_of_two_shapes) {
  EXPECT_THROW((void)run_operation(swiglu_kind, {}, {{DType::fp32, {4}, all(4, 1)}, {DType::fp32, {5}, all(5, 1)}}),
               ProgramError);
}

}  // namespace stepscope::testing
