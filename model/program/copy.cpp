#include "model/program/copy.h"

#include <string>
#include <utility>

#include "model/base/error.h"

namespace stepscope {

namespace {

Memory memory_of(const Program& program, const Operand& operand) {
  return operand.is_value() ? program.value(operand.value()).memory : program.state(operand.state()).memory;
}

std::vector<Output> moved(const Program& program, const Operation& op, Memory from, Memory to) {
  const std::string name(op.kind->name);
  if (op.ins.size() != 1 || op.ins[0].view != whole_view(program.type(op.ins[0]).shape))
    throw ProgramError("V2", name + ": one operand, whole");
  if (memory_of(program, op.ins[0]) != from) throw ProgramError("V2", name + ": its operand is there already");
  if (!op.writes.empty()) {
    const State& state = program.state(op.writes[0].state);
    if (op.writes.size() > 1 || state.memory != to || state.type != program.type(op.ins[0]))
      throw ProgramError("V2",
                         name + ": writes no state of its operand's type in " + std::string(name_of(to)) + " memory");
    return {};
  }
  const bool value = op.ins[0].is_value();
  return {{"copy", program.type(op.ins[0]), value ? program.value(op.ins[0].value()).role : Role::activation, to}};
}

std::vector<Output> outputs_to_host(const Program& program, const Operation& op) {
  return moved(program, op, Memory::device, Memory::host);
}
std::vector<Output> outputs_from_host(const Program& program, const Operation& op) {
  return moved(program, op, Memory::host, Memory::device);
}

}  // namespace

const OperationKind copy_to_host_kind{.name = "copy_to_host", .outputs = outputs_to_host, .copies = true};
const OperationKind copy_from_host_kind{.name = "copy_from_host", .outputs = outputs_from_host, .copies = true};

std::int64_t copied_bytes(const Program& program, const Operation& copy) {
  return copy.ins[0].view.shape.elements() * size_bytes(program.type(copy.ins[0]).dtype);
}

void send_to_host(Program& forward, const std::set<ValueId>& values) {
  std::vector<Operation> operations;
  std::vector<LossPiece> pieces = forward.pieces;
  const std::vector<Operation> before = std::move(forward.operations);
  for (std::size_t i = 0; i < before.size(); ++i) {
    for (std::size_t p = 0; p < pieces.size(); ++p)
      if (forward.pieces[p].first == static_cast<int>(i)) pieces[p].first = static_cast<int>(operations.size());
    operations.push_back(before[i]);
    for (const ValueId out : before[i].outs) {
      if (!values.contains(out)) continue;
      const Value made = forward.value(out);
      forward.values.push_back({made.name, made.type, made.site, made.role, Memory::host});
      operations.push_back({.kind = &copy_to_host_kind,
                            .ins = {whole(forward, out)},
                            .outs = {{static_cast<int>(forward.values.size()) - 1}},
                            .site = before[i].site,
                            .phase = before[i].phase,
                            .section = before[i].section});
    }
  }
  forward.operations = std::move(operations);
  forward.pieces = std::move(pieces);
}

}  // namespace stepscope
