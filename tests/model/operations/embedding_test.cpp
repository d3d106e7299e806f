// What only embedding promises; the laws of every operation are in operation_laws_test.cpp.
#include "model/operations/embedding/embedding.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/support/run_operation.h"

namespace stepscope::testing {

namespace {

// Tokens 2 0 2 | 2 2 1 of a vocabulary of 4, sequences of 3 where 5 positions are learned, one feature.
const Tensor tokens{DType::int32, {2, 3}, {2, 0, 2, 2, 2, 1}};
const Tensor dx{DType::fp32, {2, 3, 1}, {1, 2, 4, 8, 16, 32}};

Ran gradient(double before, Accumulate accumulate) {
  return run_operation(embedding_gradient_kind, {}, {dx, tokens},
                       {{{DType::fp32, {4, 1}, all(4, before)}, StateKind::gradient, accumulate},
                        {{DType::fp32, {5, 1}, all(5, before)}, StateKind::gradient, accumulate}});
}

}  // namespace

TEST(Embedding, adds_the_rows_of_token_and_position) {
  const Ran ran = run_operation(embedding_kind, {.output = DType::fp32},
                                {tokens, {DType::fp32, {4, 1}, {10, 20, 30, 40}}, {DType::fp32, {3, 1}, {1, 2, 3}}});
  EXPECT_EQ(ran.outs[0], (std::vector<double>{31, 12, 33, 31, 32, 23}));
}

TEST(Embedding, gradient_gathers_equal_tokens_and_clears_the_rest) {
  const Ran ran = gradient(std::numeric_limits<double>::quiet_NaN(), Accumulate::no);
  EXPECT_EQ(ran.writes[0], (std::vector<double>{2, 32, 1 + 4 + 8 + 16, 0}));
  EXPECT_EQ(ran.writes[1], (std::vector<double>{1 + 8, 2 + 16, 4 + 32, 0, 0}));  // positions past the sequence too
}

TEST(Embedding, gradient_adds_to_what_is_there) {
  const Ran ran = gradient(100, Accumulate::always);
  EXPECT_EQ(ran.writes[0], (std::vector<double>{102, 132, 129, 100}));
  EXPECT_EQ(ran.writes[1], (std::vector<double>{109, 118, 136, 100, 100}));
}

}  // namespace stepscope::testing
