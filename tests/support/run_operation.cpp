#include "tests/support/run_operation.h"

#include <string>

#include "model/program/builder.h"

namespace stepscope::testing {

namespace {

Operand add_state(Program& program, const Tensor& tensor, StateKind kind) {
  program.states.push_back(
      {"state" + std::to_string(program.states.size()), {tensor.dtype, tensor.shape}, kind, {0}, {}, {}});
  return whole(program, StateId{static_cast<int>(program.states.size()) - 1});
}

ValueId add_value(Program& program, const std::string& name, const TensorType& type, Role role) {
  program.values.push_back({name, type, {0}, role});
  return {static_cast<int>(program.values.size()) - 1};
}

// Activations are values, so that outputs may lie over them; integers come out of states, as batches do.
Operand add_operand(Program& program, const Tensor& tensor) {
  if (tensor.dtype == DType::int32 || tensor.dtype == DType::u8) return add_state(program, tensor, StateKind::batch);
  return whole(program, add_value(program, "in", {tensor.dtype, tensor.shape}, Role::activation));
}

void write(GuardedMachine& machine, const Operand& operand, const std::vector<double>& numbers) {
  operand.is_value() ? machine.write(operand.value(), numbers) : machine.write(operand.state(), numbers);
}

}  // namespace

GuardedMachine one_operation(const OperationKind& kind, const Attributes& attributes, const std::vector<Tensor>& ins,
                             const std::vector<Written>& writes, const ControlBlock& control) {
  Program program = Builder(DType::fp32).finish({}, {});
  Operation op;
  op.kind = &kind;
  op.attributes = attributes;
  op.site = {0};
  for (const Tensor& in : ins) op.ins.push_back(add_operand(program, in));
  for (const Written& write : writes)
    op.writes.push_back({add_state(program, write.before, write.kind).state(), write.accumulate});
  if (writes.empty()) op.writes.push_back({program.results, Accumulate::no});
  for (const Output& output : kind.outputs(program, op))
    op.outs.push_back(add_value(program, std::string(output.name), output.type, output.role));
  program.operations.push_back(op);

  GuardedMachine machine(program);
  machine.control() = control;
  for (std::size_t i = 0; i < ins.size(); ++i) write(machine, op.ins[i], ins[i].numbers);
  for (std::size_t w = 0; w < writes.size(); ++w) machine.write(op.writes[w].state, writes[w].before.numbers);
  return machine;
}

Ran run_operation(const OperationKind& kind, const Attributes& attributes, const std::vector<Tensor>& ins,
                  const std::vector<Written>& writes, const ControlBlock& control) {
  GuardedMachine machine = one_operation(kind, attributes, ins, writes, control);
  const Operation& op = machine.program().operations.back();
  machine.run_checked(Section::micro);
  Ran ran;
  for (const ValueId out : op.outs) ran.outs.push_back(machine.read(out));
  for (std::size_t w = 0; w < writes.size(); ++w) ran.writes.push_back(machine.read(op.writes[w].state));
  ran.control = machine.control();
  return ran;
}

std::vector<double> alternating(std::int64_t count, double a, double b) {
  std::vector<double> numbers(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = i % 2 == 0 ? a : b;
  return numbers;
}

}  // namespace stepscope::testing
