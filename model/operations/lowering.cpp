#include "model/operations/lowering.h"

#include <algorithm>
#include <vector>

#include "model/base/error.h"
#include "model/operations/attention/attention_library.h"
#include "model/operations/cuda_workspace.h"
#include "model/operations/gelu/gelu.h"
#include "model/operations/linear/linear.h"
#include "model/operations/linear_gelu/linear_gelu.h"
#include "model/operations/list.h"

namespace stepscope {

namespace {

// Two operations, the second of which alone reads what the first makes, and the one that does both and has the outputs of both.
struct Fusion {
  const OperationKind *first, *second, *both;
  bool (*is_there)(const Program&, const Machine&, const Operation& first);
};

// cuBLASLt's epilogues: in narrow types, where tensor cores leave the memory to be waited for, and with a bias of the result's type.
bool has_gelu_epilogue(const Program& program, const Machine& machine, const Operation& linear) {
  const DType in = program.type(linear.ins[0]).dtype;
  return machine.has_kernels && (in == DType::bf16 || in == DType::fp16) && linear.attributes.output == in &&
         linear.ins.size() == 3;
}

constexpr Fusion fusions[] = {{&linear_kind, &gelu_kind, &linear_gelu_kind, has_gelu_epilogue}};

std::vector<int> readers_of_values(const Program& program) {
  std::vector<int> readers(program.values.size(), 0);
  for (const Operation& op : program.operations)
    for (const Operand& in : op.ins)
      if (in.is_value()) ++readers[static_cast<std::size_t>(in.index)];
  return readers;
}

// The operation before `second` that it can be one with; operations.size(): none.
std::size_t partner_of(const Program& program, const Machine& machine, const std::set<ValueId>& kept,
                       const std::vector<int>& readers, std::size_t second) {
  const std::size_t none = program.operations.size();
  const Operation& op = program.operations[second];
  for (const Fusion& fusion : fusions) {
    if (op.kind != fusion.second || !op.ins[0].is_value()) continue;
    const ValueId between = op.ins[0].value();
    const auto made = std::ranges::find_if(
        program.operations, [&](const Operation& other) { return std::ranges::count(other.outs, between) > 0; });
    const bool whole_and_alone = op.ins[0].view == whole_view(program.value(between).type.shape) &&
                                 readers[static_cast<std::size_t>(between.index)] == 1 && between != program.logits;
    if (made->kind == fusion.first && whole_and_alone && made->section == op.section &&
        kept.contains(between) == kept.contains(op.outs[0]) && fusion.is_there(program, machine, *made))
      return static_cast<std::size_t>(made - program.operations.begin());
  }
  return none;
}

void join(Program& program, std::size_t first, std::size_t second) {
  Operation& joined = program.operations[first];
  const Operation& last = program.operations[second];
  const auto row =
      std::ranges::find_if(fusions, [&](const Fusion& f) { return f.first == joined.kind && f.second == last.kind; });
  joined.kind = row->both;
  joined.outs.insert(joined.outs.end(), last.outs.begin(), last.outs.end());
  program.operations.erase(program.operations.begin() + static_cast<std::ptrdiff_t>(second));
  for (LossPiece& piece : program.pieces)
    if (piece.first > static_cast<int>(second)) --piece.first;
}

}  // namespace

Program fused(Program forward, const Machine& machine, const std::set<ValueId>& kept) {
  if (!machine.has_kernels) return forward;
  const std::vector<int> readers = readers_of_values(forward);
  for (std::size_t i = forward.operations.size(); i-- > 0;)
    if (const std::size_t first = partner_of(forward, machine, kept, readers, i); first < forward.operations.size())
      join(forward, first, i);
  return forward;
}

void lower(Program& program, const Machine& machine) {
  for (Operation& op : program.operations) {
    if (machine.has_kernels) {
      op.workspace_bytes = cuda_workspace_bytes(program, op);
      continue;
    }
    if (by_library(op) && machine.kind == Machine::Kind::cpu) throw Unsupported("attention by cuDNN: this is a CPU");
    if (by_library(op)) {  // of a card that is not here
      op.workspace_bytes = library_attention_workspace_bytes(op);
      continue;
    }
    const CpuOperation& cpu = row_of(*op.kind).cpu;
    op.workspace_bytes = cpu.workspace_bytes == nullptr ? 0 : cpu.workspace_bytes(program, op, machine);
  }
}

}  // namespace stepscope
