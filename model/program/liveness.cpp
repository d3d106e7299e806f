#include "model/program/liveness.h"

#include <algorithm>
#include <numeric>

#include "model/program/memory_plan.h"
#include "model/program/operation.h"

namespace stepscope {

namespace {

std::vector<Lifetime> lifetimes_of(const Program& program) {
  std::vector<Lifetime> lives(program.values.size());
  std::vector<int> last_of_section(3, -1);
  for (std::size_t i = 0; i < program.operations.size(); ++i)
    last_of_section[static_cast<std::size_t>(program.operations[i].section)] = static_cast<int>(i);
  for (std::size_t i = 0; i < program.operations.size(); ++i) {
    const Operation& op = program.operations[i];
    for (const ValueId out : op.outs) {
      Lifetime& life = lives[static_cast<std::size_t>(out.index)];
      life.born = life.dies = static_cast<int>(i);
    }
    for (const Operand& in : op.ins) {
      if (!in.is_value()) continue;
      Lifetime& life = lives[static_cast<std::size_t>(in.index)];
      if (life.born < 0) continue;  // read before it is made: V1 says so
      const bool crosses = program.operations[static_cast<std::size_t>(life.born)].section != op.section;
      life.dies =
          std::max(life.dies, crosses ? last_of_section[static_cast<std::size_t>(op.section)] : static_cast<int>(i));
    }
  }
  for (const Operation& op : program.operations) {
    if (!op.runs_beside()) continue;
    const auto copied = [&](int value) {
      Lifetime& life = lives[static_cast<std::size_t>(value)];
      life.copied_until = std::max(life.copied_until, op.complete_before - 1);
      life.dies = std::max(life.dies, life.copied_until);
    };
    if (op.ins[0].is_value()) copied(op.ins[0].index);
    for (const ValueId out : op.outs) copied(out.index);
  }
  return lives;
}

bool may_take_place(const Program& program, const std::vector<Lifetime>& lives, const Operation& op, int index,
                    const InPlace& rule) {
  if (rule.out >= static_cast<int>(op.outs.size()) || rule.in >= static_cast<int>(op.ins.size())) return false;
  const Operand& in = op.ins[static_cast<std::size_t>(rule.in)];
  if (!in.is_value()) return false;
  const TensorType& from = program.type(in);
  const TensorType& to = program.value(op.outs[static_cast<std::size_t>(rule.out)]).type;
  const Lifetime& life = lives[static_cast<std::size_t>(in.index)];
  if (life.born < 0 || life.dies != index || life.copied_until >= index) return false;
  if (program.operations[static_cast<std::size_t>(life.born)].section != op.section) return false;
  if (size_bytes(from.dtype) != size_bytes(to.dtype) || from.shape.elements() != to.shape.elements()) return false;
  if (in.view != whole_view(from.shape)) return false;
  return std::count_if(op.ins.begin(), op.ins.end(),
                       [&](const Operand& other) { return other.value() == in.value(); }) == 1;
}

}  // namespace

Liveness find_liveness(const Program& program) {
  Liveness liveness{lifetimes_of(program), {}};
  std::vector<Lifetime>& lives = liveness.lifetimes;
  for (std::size_t i = 0; i < program.operations.size(); ++i) {
    const Operation& op = program.operations[i];
    std::vector<ValueId> taken;
    for (const InPlace& rule : in_place_of(op)) {
      if (!may_take_place(program, lives, op, static_cast<int>(i), rule)) continue;
      const ValueId in = op.ins[static_cast<std::size_t>(rule.in)].value();
      Lifetime& out = lives[static_cast<std::size_t>(op.outs[static_cast<std::size_t>(rule.out)].index)];
      if (out.over.index >= 0 || std::find(taken.begin(), taken.end(), in) != taken.end()) continue;
      out.over = in;
      taken.push_back(in);
    }
    for (const ValueId id : op.outs) {
      Lifetime& life = lives[static_cast<std::size_t>(id.index)];
      if (life.over.index >= 0) {
        life.buffer = lives[static_cast<std::size_t>(life.over.index)].buffer;
        Buffer& buffer = liveness.buffers[static_cast<std::size_t>(life.buffer)];
        buffer.dies = std::max(buffer.dies, life.dies);
      } else {
        life.buffer = static_cast<int>(liveness.buffers.size());
        liveness.buffers.push_back({.bytes = round_up(program.value(id).type.size_bytes(), arena_alignment_bytes),
                                    .born = life.born,
                                    .dies = life.dies,
                                    .memory = program.value(id).memory});
      }
    }
    if (op.workspace_bytes > 0)
      liveness.buffers.push_back({.bytes = round_up(op.workspace_bytes, arena_alignment_bytes),
                                  .born = static_cast<int>(i),
                                  .dies = static_cast<int>(i),
                                  .workspace_of = static_cast<int>(i)});
  }
  return liveness;
}

std::vector<std::int64_t> live_bytes(const Liveness& liveness, std::size_t operations, bool with_workspaces,
                                     Memory memory) {
  std::vector<std::int64_t> change(operations + 1, 0);
  for (const Buffer& buffer : liveness.buffers) {
    if (buffer.memory != memory || (buffer.workspace_of >= 0 && !with_workspaces)) continue;
    change[static_cast<std::size_t>(buffer.born)] += buffer.bytes;
    change[static_cast<std::size_t>(buffer.dies) + 1] -= buffer.bytes;
  }
  std::partial_sum(change.begin(), change.end(), change.begin());
  change.pop_back();
  return change;
}

std::int64_t least_arena_bytes(const Program& program) {
  const std::vector<std::int64_t> sums = live_bytes(find_liveness(program), program.operations.size(), true);
  return sums.empty() ? 0 : *std::max_element(sums.begin(), sums.end());
}

}  // namespace stepscope
