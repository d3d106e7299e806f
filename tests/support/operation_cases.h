// The table that the laws of operations run over: for every kind a few programs of little more than that kind.
//     for (const OperationCase& c : operation_cases()) { const CaseProgram made = c.make(DType::bf16, 1); ... }
// A case is made in a compute type and cut into micro-steps; the batch of the whole step, and every number in it, stays the same.
#pragma once

#include <functional>
#include <map>
#include <ostream>
#include <string>
#include <vector>

#include "model/program/builder.h"
#include "model/program/control_block.h"

namespace stepscope::testing {

struct CaseProgram {
  Program program;  // differentiated if it has a loss
  std::map<std::string, std::vector<double>> contents;  // by name of state; all of them are exact in bf16
};

class CaseBuilder {
 public:
  CaseBuilder(DType compute, int micro_steps);

  // An activation [G, ...] of the whole step: the operand is the present micro-step's share of it.
  Operand activation(const std::string& name, const Shape& shape, double mean = 0, double deviation = 1);
  Operand wide_activation(const std::string& name, const Shape& shape, double mean,
                          double deviation);  // never narrow: logits
  Operand parameter(const std::string& name, const Shape& shape, Builder::Use use, double mean = 0,
                    double deviation = 1);
  Operand integers(const std::string& name, const Shape& shape,
                   std::vector<double> numbers);  // int32 of the whole step, likewise
  Operand whole_integers(const std::string& name) const;  // all of them, for the prologue
  // [G or 1, heads or 1, S, S]; 1 = visible with probability `visible`. hidden_row: a query that sees nothing.
  Operand mask(const Shape& shape, double visible, int hidden_row);
  StateId state(const std::string& name, StateKind kind, const Shape& shape, std::vector<double> numbers,
                StateId master = {});
  std::vector<double> random(std::int64_t count, double mean,
                             double deviation);  // the same for the same order of calls

  // What is differentiated: the sum of all elements of these outputs, each with a random weight.
  void project(const std::vector<ValueId>& outputs);
  void loss(ValueId loss) { loss_ = loss; }
  void update(const OperationKind& kind, const Attributes& attributes, std::vector<Operand> ins,
              std::vector<Write> writes);
  [[nodiscard]] CaseProgram finish() &&;

  Builder b;

 private:
  Operand share(StateId state) const;
  int micro_steps_;
  std::uint64_t draws_;
  ValueId loss_;
  std::map<std::string, std::vector<double>> contents_;
  std::vector<State> extra_states_;
  std::vector<Operation> updates_;
};

struct OperationCase {
  std::string name;  // "layer_norm_3x7": a test's name
  int micro_steps = 2;  // that the laws cut it into
  bool rows_alike = true;  // a row's bits do not depend on how many rows there are
  std::function<void(CaseBuilder&)> build;

  [[nodiscard]] CaseProgram make(DType compute, int micro) const;
  [[nodiscard]] bool has_gradient() const { return make(DType::fp64, 1).program.loss.index >= 0; }
  [[nodiscard]] bool can_be_split() const { return micro_steps > 1 && rows_alike; }
};

inline void PrintTo(const OperationCase& c, std::ostream* out) { *out << c.name; }  // for GoogleTest

[[nodiscard]] const std::vector<OperationCase>& operation_cases();
[[nodiscard]] std::vector<OperationCase> operation_cases_where(bool (OperationCase::*holds)() const);

}  // namespace stepscope::testing
