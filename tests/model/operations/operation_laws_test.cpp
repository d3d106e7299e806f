// Every operation, held to the laws of all operations (tests/support/operation_laws.h) over one table of cases.
#include "tests/support/operation_laws.h"

#include <gtest/gtest.h>

#include <set>

#include "model/operations/list.h"

namespace stepscope::testing {

class OperationLaws : public ::testing::TestWithParam<OperationCase> {};
class OperationGradients : public ::testing::TestWithParam<OperationCase> {};
class OperationSplits : public ::testing::TestWithParam<OperationCase> {};

TEST_P(OperationGradients, equal_differences_in_fp64) { expect_gradients_equal_differences(GetParam()); }

TEST_P(OperationLaws, fp32_agrees_with_fp64) { expect_types_agree(GetParam(), DType::fp32); }
TEST_P(OperationLaws, bf16_agrees_with_fp64) { expect_types_agree(GetParam(), DType::bf16); }
TEST_P(OperationLaws, fp16_agrees_with_fp64) { expect_types_agree(GetParam(), DType::fp16); }

TEST_P(OperationLaws, machine_laws_in_fp64) { expect_machine_laws(GetParam(), DType::fp64); }
TEST_P(OperationLaws, machine_laws_in_fp32) { expect_machine_laws(GetParam(), DType::fp32); }
TEST_P(OperationLaws, machine_laws_in_bf16) { expect_machine_laws(GetParam(), DType::bf16); }
TEST_P(OperationLaws, machine_laws_in_fp16) { expect_machine_laws(GetParam(), DType::fp16); }

TEST_P(OperationSplits, keep_rows_in_fp32) { expect_split_keeps_rows(GetParam(), DType::fp32); }
TEST_P(OperationSplits, keep_rows_in_bf16) { expect_split_keeps_rows(GetParam(), DType::bf16); }
TEST_P(OperationSplits, keep_rows_in_fp16) { expect_split_keeps_rows(GetParam(), DType::fp16); }

std::string name_of_case(const ::testing::TestParamInfo<OperationCase>& test) { return test.param.name; }

INSTANTIATE_TEST_SUITE_P(EveryKind, OperationLaws, ::testing::ValuesIn(operation_cases()), name_of_case);
INSTANTIATE_TEST_SUITE_P(EveryKind, OperationGradients,
                         ::testing::ValuesIn(operation_cases_where(&OperationCase::has_gradient)), name_of_case);
INSTANTIATE_TEST_SUITE_P(EveryKind, OperationSplits,
                         ::testing::ValuesIn(operation_cases_where(&OperationCase::can_be_split)), name_of_case);

TEST(OperationLawsTable, covers_every_listed_kind) {
  std::set<const OperationKind*> covered;
  for (const OperationCase& c : operation_cases()) {
    const CaseProgram made = c.make(DType::bf16, 1);
    for (const Operation& op : made.program.operations) covered.insert(op.kind);
  }
  for (const OperationRow& row : operation_list())
    EXPECT_TRUE(covered.contains(row.kind)) << row.kind->name << " has no case";
}

}  // namespace stepscope::testing
