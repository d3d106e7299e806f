// What only add promises; the laws of every operation are in operation_laws_test.cpp.
#include "model/program/add.h"

#include <gtest/gtest.h>

#include "model/base/error.h"
#include "tests/support/run_operation.h"

namespace stepscope::testing {

TEST(Add, rounds_once_to_nearest_even) {
  // bf16 has 8 significant bits: 256 + 1 lies between 256 and 258, 258 + 1 between 258 and 260.
  const Ran ran = run_operation(add_kind, {}, {{DType::bf16, {3}, {256, 258, 256}}, {DType::bf16, {3}, {1, 1, 1.5}}});
  EXPECT_EQ(ran.outs[0], (std::vector<double>{256, 260, 258}));
}

TEST(Add, refuses_two_types) {
  EXPECT_THROW((void)run_operation(add_kind, {}, {{DType::fp32, {1}, {1}}, {DType::bf16, {1}, {1}}}), ProgramError);
}

}  // namespace stepscope::testing
