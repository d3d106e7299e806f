// What only count_tokens promises; the laws of every operation are in operation_laws_test.cpp.
#include "model/operations/count_tokens/count_tokens.h"

#include <gtest/gtest.h>

#include "tests/support/run_operation.h"

namespace stepscope::testing {

TEST(CountTokens, counts_targets_that_are_not_ignored_and_begins_the_loss) {
  ControlBlock control;
  control.loss_sum = 99;
  const Ran ran = run_operation(count_tokens_kind, {}, {{DType::int32, {2, 50}, alternating(100, 0, -1)}}, {}, control);
  EXPECT_EQ(ran.control.token_count, 50);
  EXPECT_EQ(ran.control.loss_sum, 0);
}

}  // namespace stepscope::testing
