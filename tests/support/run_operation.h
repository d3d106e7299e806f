// One operation on numbers written out in a test.
//     const Ran ran = run_operation(gelu_kind, {}, {{DType::fp32, {3}, {-1, 0, 1}}});
//     EXPECT_EQ(ran.outs[0][1], 0);
// Every call also holds the operation to the laws of machines (guards, threads, in place).
#pragma once

#include <vector>

#include "model/program/control_block.h"
#include "model/program/operation.h"
#include "tests/support/guarded_machine.h"

namespace stepscope::testing {

struct Tensor {
  DType dtype = DType::fp32;
  Shape shape;
  std::vector<double> numbers;  // rounded to dtype when they are written
};

struct Written {  // a state that the operation writes
  Tensor before;
  StateKind kind = StateKind::gradient;
  Accumulate accumulate = Accumulate::no;
};

struct Ran {
  std::vector<std::vector<double>> outs, writes;  // writes without results, which are in control
  ControlBlock control;
};

// Where `results` is written or read, leave it out: it is the control block's.
[[nodiscard]] Ran run_operation(const OperationKind& kind, const Attributes& attributes, const std::vector<Tensor>& ins,
                                const std::vector<Written>& writes = {}, const ControlBlock& control = {});

// The same, not run yet: a program of this one operation, its memory filled.
[[nodiscard]] GuardedMachine one_operation(const OperationKind& kind, const Attributes& attributes,
                                           const std::vector<Tensor>& ins, const std::vector<Written>& writes = {},
                                           const ControlBlock& control = {});

// count numbers a, b, a, b, ...
[[nodiscard]] std::vector<double> alternating(std::int64_t count, double a, double b);
[[nodiscard]] inline std::vector<double> all(std::int64_t count, double number) {
  return alternating(count, number, number);
}
[[nodiscard]] inline Tensor control_operand() { return {DType::u8, {1}, {0}}; }  // operations read the block itself

}  // namespace stepscope::testing
