// materialised_attention on a card beside plain loops, in every pair of types; its laws are in cuda_operations_test.cu.
#include <gtest/gtest.h>

#include "model/operations/materialised_attention/materialised_attention_cuda.cuh"
#include "tests/support/attention_on_card.cuh"

namespace stepscope::testing {

class MaterialisedOnCard : public ::testing::TestWithParam<AttentionCase> {
 protected:
  ~MaterialisedOnCard() override { materialised_scores_held() = held_; }
  const std::int64_t held_ = materialised_scores_held();
};

TEST_P(MaterialisedOnCard, is_that_of_the_cpu_and_of_plain_loops) { expect_attention_of_plain_loops(GetParam()); }

// Three batch rows by twos and one by one: the last chunk is a short one.
TEST_P(MaterialisedOnCard, is_the_same_by_chunks_of_the_batch) {
  const AttentionCase& c = GetParam();
  const std::int64_t row_bytes = c.heads * c.sequence * c.sequence * 4;
  const CaseProgram made = c.make();
  const Operation& op = operation_of(made.program, c.gradient_kind());
  const std::int64_t whole = materialised_attention_gradient_cuda_workspace(made.program, op);
  materialised_scores_held() = 2 * row_bytes;
  EXPECT_LT(materialised_attention_gradient_cuda_workspace(made.program, op), whole);
  expect_attention_of_plain_loops(c);
  materialised_scores_held() = 1;
  expect_attention_of_plain_loops(c);
}

INSTANTIATE_TEST_SUITE_P(Types, MaterialisedOnCard,
                         ::testing::Values(AttentionCase{.name = "fp32",
                                                         .sequence = 13,
                                                         .width = 5,
                                                         .heads = 2,
                                                         .batch = 3,
                                                         .dtype = DType::fp32,
                                                         .causal = true,
                                                         .materialised = true},
                                           AttentionCase{.name = "fp32_of_bf16",
                                                         .sequence = 9,
                                                         .width = 8,
                                                         .heads = 4,
                                                         .kv_heads = 2,
                                                         .batch = 3,
                                                         .dtype = DType::fp32,
                                                         .probabilities = DType::bf16,
                                                         .lengths = {9, 0, 4},
                                                         .materialised = true},
                                           AttentionCase{.name = "bf16",
                                                         .sequence = 17,
                                                         .width = 16,
                                                         .heads = 6,
                                                         .kv_heads = 2,
                                                         .batch = 6,
                                                         .causal = true,
                                                         .lengths = {17, 2, 9, 1, 0, 17},
                                                         .micro_steps = 2,
                                                         .materialised = true},
                                           AttentionCase{.name = "bf16_of_bf16",
                                                         .sequence = 11,
                                                         .width = 8,
                                                         .heads = 2,
                                                         .kv_heads = 2,
                                                         .batch = 3,
                                                         .probabilities = DType::bf16,
                                                         .custom = 2,
                                                         .materialised = true},
                                           AttentionCase{.name = "fp16",
                                                         .sequence = 35,
                                                         .width = 12,
                                                         .heads = 3,
                                                         .batch = 3,
                                                         .dtype = DType::fp16,
                                                         .custom = 1,
                                                         .materialised = true},
                                           AttentionCase{.name = "fp16_of_bf16",
                                                         .sequence = 10,
                                                         .width = 8,
                                                         .heads = 2,
                                                         .batch = 3,
                                                         .dtype = DType::fp16,
                                                         .probabilities = DType::bf16,
                                                         .causal = true,
                                                         .materialised = true}),
                         [](const ::testing::TestParamInfo<AttentionCase>& test) { return test.param.name; });

}  // namespace stepscope::testing
