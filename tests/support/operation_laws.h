// What every operation promises, as functions over a case. All report through GoogleTest.
#pragma once

#include "tests/support/guarded_machine.h"
#include "tests/support/operation_cases.h"

namespace stepscope::testing {

// Gradients of all parameters and activations, summed over micro-steps, against differences of the loss, in fp64.
void expect_gradients_equal_differences(const OperationCase& c);
// Every value and gradient in fp32 and bf16 against fp64, within the table of model/base/tolerance.h.
void expect_types_agree(const OperationCase& c, DType compute);
// No byte outside outputs and declared writes, the same bits for any number of threads, and in place.
void expect_machine_laws(const OperationCase& c, DType compute);
// Values of a step in one piece are the values of its micro-steps, row after row, to the bit.
void expect_split_keeps_rows(const OperationCase& c, DType compute);

// A machine holding a case: states filled, control block set to a step in the middle of training.
[[nodiscard]] GuardedMachine machine_of(const CaseProgram& made);
void run_step(GuardedMachine& machine);  // prologue, micro-steps, update

}  // namespace stepscope::testing
