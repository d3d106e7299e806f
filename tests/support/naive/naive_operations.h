// Every operation that a card runs, by the plainest loops in double: beside the CPU machine what it is held to (card_beside.cuh).
//     NaiveRun run = naive_run_of(binding);               // operands gathered, before anything runs
//     naive_twin("gelu")(run);                            // run.outs[0][i], run.writes[0][i], run.control
// Shares nothing with model/ but the structs that say what an operation is: formulas are those of papers and definitions, gradients
// derived by hand from them, elements found and decoded here. Nothing is rounded, so the table of tolerances is for the machine alone.
// A new kind: its loops and a row in the family's file, naive_*.cpp; NaiveOperations.has_a_twin_of_every_kind_of_a_card asks for it.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "model/program/binding.h"
#include "model/program/control_block.h"

namespace stepscope::testing {

struct NaiveTensor {
  Shape shape;  // of an operand: of its view
  std::vector<double> numbers;  // row-major
};

struct NaiveRun {
  const Operation* operation = nullptr;
  std::vector<NaiveTensor> ins;  // empty where it is the control block
  std::vector<NaiveTensor> outs;  // zeros, to be set
  std::vector<NaiveTensor> writes;  // as they were, to be altered; empty where it is the control block
  ControlBlock control;  // as it was, to be altered

  [[nodiscard]] const Attributes& attributes() const { return operation->attributes; }
  [[nodiscard]] std::vector<double>& in(std::size_t i) { return ins.at(i).numbers; }
  [[nodiscard]] std::vector<double>& out(std::size_t i) { return outs.at(i).numbers; }
  // A gradient joins what a state holds, as the write says.
  void join(std::size_t write, const std::vector<double>& gradient);
};

[[nodiscard]] NaiveRun naive_run_of(const OperationBinding& binding);
[[nodiscard]] std::vector<double> naive_numbers(const std::byte* memory, const TensorType& type);

using NaiveTwin = void (*)(NaiveRun&);
[[nodiscard]] NaiveTwin naive_twin(std::string_view kind);  // null: there is none

struct NaiveRow {
  std::string_view kind;  // OperationKind::name
  NaiveTwin run;
};
// By family.
[[nodiscard]] std::span<const NaiveRow> naive_elements();  // element by element, rows that are looked up, products
[[nodiscard]] std::span<const NaiveRow> naive_norms();
[[nodiscard]] std::span<const NaiveRow> naive_heads();  // of packed queries, keys and values
[[nodiscard]] std::span<const NaiveRow> naive_training();  // loss, norm of gradients, update

// Rows and columns of a matrix, whatever its leading axes.
struct NaiveMatrix {
  std::vector<double>* numbers;
  std::size_t rows, columns;
  [[nodiscard]] double& operator()(std::size_t row, std::size_t column) const {
    return numbers->at(row * columns + column);
  }
};
[[nodiscard]] NaiveMatrix matrix_of(NaiveTensor& tensor);

}  // namespace stepscope::testing
