// What only linear promises; the laws of every operation are in operation_laws_test.cpp, matmuls in tests/model/cpu/matmul_test.cpp.
#include "model/operations/linear/linear.h"

#include <gtest/gtest.h>

#include "model/base/half.h"
#include "tests/support/run_operation.h"

namespace stepscope::testing {

TEST(Linear, is_rows_times_weight_plus_bias) {
  for (const DType dtype : {DType::fp64, DType::fp32, DType::bf16}) {
    const Tensor x{dtype, {2, 3}, {1, 2, 3, -1, 0, 4}}, weight{dtype, {3, 2}, {1, 4, 2, 8, 3, 12}},
        bias{dtype, {2}, {0.5, -0.5}};
    const Ran ran = run_operation(linear_kind, {.output = dtype}, {x, weight, bias});
    EXPECT_EQ(ran.outs[0], (std::vector<double>{14.5, 55.5, 11.5, 43.5}));
  }
}

TEST(Linear, rounds_once_and_not_at_all_into_fp32) {  // 1 + 2^-8 + 2^-9 lies above the tie between 1 and 1 + 2^-7
  const Tensor x{DType::bf16, {1, 3}, {1, 1, 1}}, weight{DType::bf16, {3, 1}, {1, 0x1p-8, 0x1p-9}},
      bias{DType::bf16, {1}, {0}};
  EXPECT_EQ(run_operation(linear_kind, {.output = DType::fp32}, {x, weight, bias}).outs[0][0], 1 + 0x1p-8 + 0x1p-9);
  EXPECT_EQ(run_operation(linear_kind, {.output = DType::bf16}, {x, weight, bias}).outs[0][0], 1 + 0x1p-7);
}

// x and dy of ones: the weight's gradient counts rows, and so does the bias's; both over more rows than one partial sum takes.
TEST(LinearWeightGradient, overwrites_first_and_adds_in_later_micro_steps) {
  constexpr std::int64_t rows = 150;
  for (const DType dtype : {DType::fp64, DType::fp32, DType::bf16}) {
    const DType master = dtype == DType::fp64 ? DType::fp64 : DType::fp32;
    const Tensor x{dtype, {rows, 2}, all(2 * rows, 1)}, dy{dtype, {rows, 3}, all(3 * rows, 1)};
    const Tensor weight{master, {2, 3}, all(6, 1000)}, bias{master, {3}, all(3, 1000)};
    const auto after = [&](Accumulate accumulate, int micro_step) {
      ControlBlock control;
      control.micro_step = micro_step;
      return run_operation(linear_weight_gradient_kind, {}, {x, dy},
                           {{weight, StateKind::gradient, accumulate}, {bias, StateKind::gradient, accumulate}},
                           control)
          .writes;
    };
    EXPECT_EQ(after(Accumulate::after_first, 0), (std::vector{all(6, rows), all(3, rows)}));
    EXPECT_EQ(after(Accumulate::after_first, 1), (std::vector{all(6, 1000 + rows), all(3, 1000 + rows)}));
    EXPECT_EQ(after(Accumulate::always, 0), (std::vector{all(6, 1000 + rows), all(3, 1000 + rows)}));
    EXPECT_EQ(after(Accumulate::no, 1), (std::vector{all(6, rows), all(3, rows)}));
  }
}

TEST(Linear, adds_nothing_where_there_is_no_bias) {
  const Tensor x{DType::fp32, {2, 2}, {1, 2, 3, 4}}, weight{DType::fp32, {2, 2}, {1, 0, 0, -1}};
  EXPECT_EQ(run_operation(linear_kind, {.output = DType::fp32}, {x, weight}).outs[0],
            (std::vector<double>{1, -2, 3, -4}));
}

// The gradient of a table [O, I] is dy^T x; the bias's stays the column sums of dy.
TEST(LinearWeightGradient, of_a_transposed_weight_is_stored_as_the_weight_is) {
  for (const DType dtype : {DType::fp64, DType::fp32, DType::bf16}) {
    const DType master = dtype == DType::fp64 ? DType::fp64 : DType::fp32;
    const Tensor x{dtype, {2, 3}, {1, 2, 3, 4, 5, 6}}, dy{dtype, {2, 2}, {1, 10, -1, 20}};
    const Ran ran = run_operation(linear_weight_gradient_kind, {.transposed_weight = true}, {x, dy},
                                  {{{master, {2, 3}, all(6, 7)}, StateKind::gradient, Accumulate::no},
                                   {{master, {2}, all(2, 7)}, StateKind::gradient, Accumulate::no}});
    EXPECT_EQ(ran.writes[0], (std::vector<double>{1 - 4, 2 - 5, 3 - 6, 10 + 80, 20 + 100, 30 + 120}));
    EXPECT_EQ(ran.writes[1], (std::vector<double>{0, 30}));
  }
}

TEST(LinearInputGradient, is_rows_times_the_transposed_weight) {
  for (const DType dtype : {DType::fp64, DType::fp32, DType::bf16}) {
    const Tensor dy{dtype, {2, 2}, {1, 2, 0, -1}}, weight{dtype, {3, 2}, {1, 10, 2, 20, 3, 30}};
    EXPECT_EQ(run_operation(linear_input_gradient_kind, {.output = dtype}, {dy, weight}).outs[0],
              (std::vector<double>{21, 42, 63, -10, -20, -30}));
  }
}

}  // namespace stepscope::testing
