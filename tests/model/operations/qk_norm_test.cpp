// What only qk_norm promises; the laws of every operation are in operation_laws_test.cpp.
#include "model/operations/qk_norm/qk_norm.h"

#include <gtest/gtest.h>

#include <cmath>

#include "model/base/error.h"
#include "model/base/tolerance.h"
#include "tests/support/run_operation.h"

namespace stepscope::testing {

TEST(QkNorm, norms_each_query_and_key_by_itself_and_leaves_values) {
  constexpr std::size_t width = 3, parts = 10;  // of two kv heads: three queries, a key, a value
  std::vector<double> x;
  for (std::size_t i = 0; i < parts * width; ++i) x.push_back(static_cast<double>(i * i % 11) / 4 - 1);
  const std::vector<double> q_scale{1, 2, -1}, k_scale{3, 0.5, 1};
  const double epsilon = 0.25;
  for (const DType dtype : {DType::fp64, DType::fp32, DType::bf16}) {
    const DType statistic = dtype == DType::fp64 ? DType::fp64 : DType::fp32;
    const Ran ran = run_operation(
        qk_norm_kind, {.epsilon = epsilon, .heads = 6, .head_dim = width},
        {{dtype, {1, 1, parts * width}, x}, {statistic, {width}, q_scale}, {statistic, {width}, k_scale}});
    for (std::size_t part = 0; part < parts; ++part) {
      double square = epsilon;
      for (std::size_t i = 0; i < width; ++i) square += x[part * width + i] * x[part * width + i] / width;
      const std::size_t in_group = part % 5;
      for (std::size_t i = 0; i < width; ++i) {
        const double factor = in_group == 4 ? 1 : (in_group == 3 ? k_scale : q_scale)[i] / std::sqrt(square);
        EXPECT_TRUE(close(ran.outs[0][part * width + i], x[part * width + i] * factor, dtype)) << part << " " << i;
      }
      if (in_group < 4) {
        EXPECT_TRUE(close(ran.outs[1][part / 5 * 4 + in_group], 1 / std::sqrt(square), statistic));
      }
    }
  }
}

TEST(QkNorm, refuses_a_scale_of_another_width) {
  const Tensor qkv{DType::fp32, {1, 1, 12}, all(12, 1)}, three{DType::fp32, {3}, all(3, 1)},
      four{DType::fp32, {4}, all(4, 1)};
  EXPECT_THROW((void)run_operation(qk_norm_kind, {.heads = 1, .head_dim = 4}, {qkv, three, four}), ProgramError);
  EXPECT_THROW((void)run_operation(qk_norm_kind, {.heads = 1, .head_dim = 4}, {qkv, four, three}), ProgramError);
}

}  // namespace stepscope::testing
