// The plain loops that operations of a card are held to (tests/support/naive): none is left out.
#include "tests/support/naive/naive_operations.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "model/base/half.h"
#include "model/operations/list_cuda.cuh"
#include "tests/support/operation_cases.h"

namespace stepscope::testing {
namespace {

TEST(NaiveOperations, has_a_twin_of_every_kind_of_a_card) {
  for (const CudaRow& row : cuda_operation_list())
    EXPECT_NE(naive_twin(row.kind->name), nullptr)
        << row.kind->name << " runs on a card, but nothing holds it to plain loops: write void " << row.kind->name
        << "(NaiveRun&) from its definition in a file tests/support/naive/naive_*.cpp, and its row in the table there";
}

TEST(NaiveOperations, every_kind_of_a_card_is_in_a_case) {
  std::set<const OperationKind*> met;
  for (const OperationCase& c : operation_cases())
    for (const DType compute : {DType::fp32, DType::bf16}) {  // a cast is of narrow types alone
      const CaseProgram made = c.make(compute, 1);
      for (const Operation& op : made.program.operations) met.insert(op.kind);
    }
  for (const CudaRow& row : cuda_operation_list())
    EXPECT_TRUE(met.contains(row.kind)) << row.kind->name << " is in no case of tests/support/operation_cases.cpp";
}

TEST(NaiveOperations, decode_every_number_of_a_narrow_type) {
  for (unsigned bits = 0; bits < 0x10000; ++bits) {
    const bf16 b{static_cast<std::uint16_t>(bits)};
    const fp16 h{static_cast<std::uint16_t>(bits)};
    for (const DType dtype : {DType::bf16, DType::fp16}) {
      const double got = naive_numbers(reinterpret_cast<const std::byte*>(&b), {dtype, {1}})[0];
      const double expected = static_cast<double>(dtype == DType::bf16 ? to_float(b) : to_float(h));
      ASSERT_TRUE(got == expected || (std::isnan(got) && std::isnan(expected))) << bits;
    }
  }
}

}  // namespace
}  // namespace stepscope::testing
