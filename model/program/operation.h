// What kind of thing an operation is: its shapes, its cost, its gradient, what it may overwrite. One constant a kind,
// defined in model/operations/NAME/NAME.cpp, listed in model/operations/list.h. How it runs is the machine's matter.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "model/program/program.h"

namespace stepscope {

class Differentiation;

struct Output {
  std::string_view name;
  TensorType type;
  Role role = Role::activation;
  Memory memory = Memory::device;
};

// Output `out` may lie where operand `in` lay: both have elements of one size, and the body reads an element of `in`
// (or its row) before it writes the same element (row) of `out`.
struct InPlace {
  int out = 0;
  int in = 0;
};

struct OperationCost {
  std::int64_t flops = 0;  // of matmuls, 2 a multiply-add; every pair of tokens counted
  std::int64_t causal_flops = 0;  // the same, attention under a causal mask counted half
  std::int64_t read_bytes = 0;  // each operand once
  std::int64_t written_bytes = 0;
};

struct OperationKind {
  std::string_view name;
  // What the outputs are, from operands and attributes alone. Throws UsageError-free ProgramError("V2", ...) where they do not fit.
  std::vector<Output> (*outputs)(const Program&, const Operation&);
  // Emits the operations of the gradient, those of parameters first. Null: no gradient passes through.
  void (*gradient)(Differentiation&, const Operation&) = nullptr;
  // FLOPs of its matmuls; null: none. Bytes follow from the operands.
  std::int64_t (*flops)(const Program&, const Operation&, bool causal_half) = nullptr;
  std::vector<InPlace> in_place = {};
  bool by_rows =
      false;  // looks up rows of a table: of no operand move more elements than of its first output, else operand
  bool random = false;  // draws random numbers: attributes.random_site is set
  bool copies =
      false;  // its result is its operand, in another memory (copy.h); a card's link carries it, no kernel runs
};

// The kind's, and of states in host memory: what one becomes may lie where its content came in.
[[nodiscard]] std::vector<InPlace> in_place_of(const Operation& operation);

}  // namespace stepscope
