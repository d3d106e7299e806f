// Every operation that runs on a card, beside the CPU machine over the table of cases (tests/support/card_beside.cuh).
#include <gtest/gtest.h>

#include "model/operations/embedding/embedding.h"
#include "tests/support/card_beside.cuh"
#include "tests/support/operation_cases.h"
#include "tests/support/operation_laws.h"
#include "tests/support/run_operation.h"

namespace stepscope::testing {

class CudaOperations : public ::testing::TestWithParam<OperationCase> {};

namespace {

void run_case(const OperationCase& c, DType compute) {
  GuardedMachine machine = machine_of(c.make(compute, c.micro_steps));
  CardBeside card;
  const GuardedMachine::Beside beside = card.beside(compute);
  machine.run_beside(Section::prologue, beside);
  for (int micro = 0; micro < c.micro_steps; ++micro) {
    machine.control().micro_step = micro;
    machine.run_beside(Section::micro, beside);
  }
  machine.control().micro_step = 0;
  machine.run_beside(Section::update, beside);
  if (card.operations() == 0) GTEST_SKIP() << "runs on a CPU only, or is a copy between memories";
}

}  // namespace

TEST_P(CudaOperations, are_those_of_the_cpu_in_fp32) { run_case(GetParam(), DType::fp32); }
TEST_P(CudaOperations, are_those_of_the_cpu_in_bf16) { run_case(GetParam(), DType::bf16); }
TEST_P(CudaOperations, are_those_of_the_cpu_in_fp16) { run_case(GetParam(), DType::fp16); }

TEST(CudaEmbeddingGradient, of_a_narrow_type_is_the_cpus_and_rounds_a_sum_once) {
  constexpr std::int64_t batch = 2, sequence = 50, features = 5, vocabulary = 4;
  std::vector<double> tokens, numbers;
  for (std::int64_t i = 0; i < batch * sequence; ++i) tokens.push_back(static_cast<double>(i * i % 7 % vocabulary));
  for (std::int64_t i = 0; i < batch * sequence * features; ++i)
    numbers.push_back(static_cast<double>(i % 13) / 8 - 0.5);
  for (const DType gradient : {DType::bf16, DType::fp16})
    for (const DType of_dx : {gradient, DType::fp32})
      for (const Accumulate mode : {Accumulate::no, Accumulate::always}) {
        const auto written = [&](std::int64_t rows) {
          return Written{{gradient, {rows, features}, all(rows * features, 0.75)}, StateKind::gradient, mode};
        };
        GuardedMachine machine = one_operation(
            embedding_gradient_kind, {},
            {{of_dx, {batch, sequence, features}, numbers}, {DType::int32, {batch, sequence}, tokens}},
            {written(vocabulary + 1), written(sequence + 3)});  // a token that is absent, positions past the sequence
        CardBeside card;
        machine.run_beside(Section::micro, card.beside(gradient));
        EXPECT_EQ(card.operations(), 1);
      }
}

namespace {
bool runs_on_a_card(const OperationCase& c) {
  const CaseProgram made = c.make(DType::fp32, 1);
  for (const Operation& op : made.program.operations)
    for (const CudaRow& row : cuda_operation_list())
      if (row.kind == op.kind) return true;
  return false;
}
std::vector<OperationCase> cases_of_a_card() {
  std::vector<OperationCase> cases;
  for (const OperationCase& c : operation_cases())
    if (runs_on_a_card(c)) cases.push_back(c);
  return cases;
}
}  // namespace

INSTANTIATE_TEST_SUITE_P(EveryKind, CudaOperations, ::testing::ValuesIn(cases_of_a_card()),
                         [](const ::testing::TestParamInfo<OperationCase>& test) { return test.param.name; });

}  // namespace stepscope::testing
