#include "model/program/print.h"

#include <fmt/format.h>

#include <iterator>

#include "model/program/operation.h"

namespace stepscope {

namespace {

std::string text_of(const Program& program, const Operand& operand) {
  std::string text = operand.is_value() ? fmt::format("%{}", operand.index) : program.state(operand.state()).name;
  if (operand.view != whole_view(program.type(operand).shape)) {
    text += to_string(operand.view.shape);
    if (operand.view.offset != 0) text += fmt::format("+{}", operand.view.offset);
    if (operand.view.micro_stride != 0) text += fmt::format("+{}m", operand.view.micro_stride);
  }
  return text;
}

std::string_view sign_of(Accumulate accumulate) {
  switch (accumulate) {
    case Accumulate::no: return "=";
    case Accumulate::after_first: return "+=(after first)";
    case Accumulate::always: return "+=";
  }
  return "?";
}

}  // namespace

std::string print(const Program& program, const MemoryPlan& plan) {
  std::string text;
  auto end = std::back_inserter(text);
  for (std::size_t i = 0; i < program.operations.size(); ++i) {
    const Operation& op = program.operations[i];
    fmt::format_to(end, "{} {} ", i, name_of(op.phase));
    for (std::size_t o = 0; o < op.outs.size(); ++o) {
      const TensorType& type = program.value(op.outs[o]).type;
      const Placement& place = plan.placements[static_cast<std::size_t>(op.outs[o].index)];
      fmt::format_to(end, "{}%{}:{}{}@{}{:#x}", o > 0 ? ", " : "", op.outs[o].index, name_of(type.dtype),
                     to_string(type.shape), place.memory == Memory::host ? "host+" : "", place.offset_bytes);
    }
    fmt::format_to(end, "{}{}(", op.outs.empty() ? "" : " = ", op.kind->name);
    for (std::size_t k = 0; k < op.ins.size(); ++k)
      fmt::format_to(end, "{}{}", k > 0 ? ", " : "", text_of(program, op.ins[k]));
    text += ')';
    for (const Write& write : op.writes)
      fmt::format_to(end, " {} {}", program.state(write.state).name, sign_of(write.accumulate));
    fmt::format_to(end, "  # {}", program.site(op.site).path);
    if (op.runs_beside()) fmt::format_to(end, "  complete before {}", op.complete_before);
    if (op.workspace_bytes > 0) fmt::format_to(end, "  workspace {}", op.workspace_bytes);
    if (!op.outs.empty()) {
      const Placement& first = plan.placements[static_cast<std::size_t>(op.outs.front().index)];
      fmt::format_to(end, "  live {}..{}", first.born, first.dies);
    }
    text += '\n';
  }
  return text;
}

}  // namespace stepscope
