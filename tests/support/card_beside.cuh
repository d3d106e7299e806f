// Runs an operation on a card, or on host SIMT, beside the CPU machine: on the bytes that the CPU's is about to read, in memory of its own,
// so that each operation is judged by itself.
//     CardBeside card;
//     machine.run_beside(Section::micro, card.beside(DType::bf16));             // reports through GoogleTest
// Held to: results within the table of tolerances of the CPU's and of plain loops in double (naive/naive_operations.h), the same bits in every order of threads and from lazy and eager
// streams, no operand altered, outputs over operands where the kind allows it.
#pragma once

#include <map>
#include <string>

#include "model/cuda/handles.cuh"
#include "model/operations/list_cuda.cuh"
#include "tests/support/guarded_machine.h"

namespace stepscope::testing {

class CardBeside {
 public:
  // with_loops false: the test has plain loops of its own, with bounds for operands that are not of order one.
  explicit CardBeside(bool with_loops = true) : with_loops_(with_loops) {}
  [[nodiscard]] GuardedMachine::Beside beside(DType compute);
  [[nodiscard]] int operations() const { return operations_; }  // that ran on the card
  [[nodiscard]] const std::vector<std::byte>& bytes(ValueId value) const {
    return outs_.at(value.index);
  }  // the card's

 private:
  using Bytes = std::vector<std::byte>;
  struct Outcome {  // all that an operation may alter
    std::vector<Bytes> outs, writes;
    ControlBlock control;
  };
  Outcome run(const Operation& op, const OperationBinding& cpu, const InPlace* over);
  static void expect_naive(const Operation& op, const OperationBinding& before, const Outcome& outcome, DType compute);
  void expect_same_bits(const Outcome& a, const Outcome& b, const std::string& where);

  Stream stream_;
  MatmulLibrary matmuls_;
  CudnnLibrary cudnn_;
  bool with_loops_;
  int operations_ = 0;
  std::map<int, Bytes> outs_;  // by value
};

}  // namespace stepscope::testing
