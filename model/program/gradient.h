// Differentiation of a forward program with a keep-set: which activations backward finds in memory, and which it makes
// again. Activation checkpointing is nothing but the choice of that set.
//     const Program step = differentiate(forward, keepable(forward));          // keep everything: nothing is repeated
// Backward operations follow the forward ones in reverse. A value that is read but not kept is made again, immediately
// before its first reader, by the same operations (kind, attributes, random site) from kept values: the same bits.
// A value that the forward program copies to host memory (copy.h) is fetched from there in the same place, whatever the set says.
// A loss in pieces (Program::pieces) is differentiated piece by piece: forward and backward of one, then of the next, then
// backward of all before them.
// Source: reverse accumulation, Griewank and Walther 2008, chapter 3; design of the keep-set in README "The idea".
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "model/program/operation.h"
#include "model/program/program.h"

namespace stepscope {

using KeepSet = std::set<ValueId>;

// The forward values that backward reads when everything is kept, less those whose operation writes a state: such an
// operation is never run twice, so its outputs are always kept.
[[nodiscard]] KeepSet keepable(const Program& forward);

// A program of forward and backward, with a gradient state a parameter. Values of `keep` that are not keepable change
// nothing. Gradients of parameters of two axes are of the type `matrices` where one is given, all others of the parameter's own.
// Throws ProgramError where an operation on the path from a parameter to the loss has no gradient.
[[nodiscard]] Program differentiate(const Program& forward, const KeepSet& keep, std::optional<DType> matrices = {});

// What a kind's gradient rule works with: `op` is the forward operation being differentiated.
class Differentiation {
 public:
  // The gradient of an output of op, as far as it is known; op's later readers have all contributed.
  [[nodiscard]] bool has_adjoint(ValueId out) const;
  [[nodiscard]] Operand adjoint(ValueId out) const;
  // What backward may read for an operand of the forward pass: itself, or its repeated twin, under the same view.
  [[nodiscard]] Operand value(const Operand& forward_operand);
  [[nodiscard]] Operand value(ValueId forward_value);
  // Whether anybody wants the gradient of this operand: does a parameter lie behind it?
  [[nodiscard]] bool needs(const Operand& forward_operand) const;
  // Of the forward pass: the operation that makes a value, until the next emit; and how many operands read it, copies to the host aside.
  [[nodiscard]] const Operation* producer(ValueId forward_value) const;
  [[nodiscard]] int readers(ValueId forward_value) const;
  // Sets the gradient of a value from the one it has so far, if any; `make` may fuse the addition. Only called if needed.
  void contribute(const Operand& forward_operand, const std::function<ValueId(std::optional<Operand> so_far)>& make);
  // The same where the contribution exists already, as a value: adds it with the kind `add` if there is one so far. The gradient of
  // an operand that views some rows of a value is joined to the whole with the kind `add_rows`.
  void contribute(const Operand& forward_operand, ValueId gradient);
  // The write that a parameter's gradient goes to: accumulate is after_first, or always from the second write on.
  [[nodiscard]] Write gradient_write(const Operand& parameter);
  std::vector<ValueId> emit(const OperationKind& kind, const Attributes& attributes, std::vector<Operand> ins,
                            std::vector<Write> writes = {});
  [[nodiscard]] const Program& program() const { return program_; }
  [[nodiscard]] Operand operand(StateId id) const { return whole(program_, id); }

 private:
  friend KeepSet keepable(const Program&);
  friend Program differentiate(const Program&, const KeepSet&, std::optional<DType>);
  Differentiation(const Program& forward, const KeepSet* keep, std::optional<DType> matrices = {});
  void run();
  void run_back(int past, int first);  // forward operations past - 1 .. first
  void join_rows(const Operand& forward_operand, ValueId gradient);
  void interleave();
  void repeat(ValueId wanted);
  void fetch(ValueId wanted);
  bool is_kept(ValueId id) const;
  std::vector<ValueId> append(Operation operation);

  Program program_;  // grows; its first forward_count_ operations are the forward program's
  int forward_count_ = 0;
  const KeepSet* keep_ = nullptr;  // null: keep everything
  std::set<ValueId> read_by_backward_;  // forward values
  std::vector<int> producer_;  // forward value -> operation
  std::vector<char> needs_gradient_;  // by value
  std::map<ValueId, ValueId> on_host_;  // forward value -> its copy in host memory
  std::map<ValueId, ValueId> adjoint_;  // forward value -> its gradient so far
  std::map<ValueId, ValueId> twin_;  // forward value -> its repeated or fetched twin
  std::map<StateId, StateId> gradient_of_;  // parameter -> its gradient state
  std::set<StateId> written_;  // gradient states written so far in the micro-step
  const Operation* current_ = nullptr;  // being differentiated
  int current_index_ = -1;
  std::vector<int> piece_ends_;  // by piece: the number of operations when its gradient was complete
};

}  // namespace stepscope
