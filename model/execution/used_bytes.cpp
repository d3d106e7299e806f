#include "model/execution/used_bytes.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

namespace stepscope {

TouchedBytes::TouchedBytes(const Program& program, const MemoryPlan& plan, StepMemory& memory)
    : program_(program),
      plan_(plan),
      memory_(memory),
      value_bytes_(program.values.size(), 0),
      state_bytes_(program.states.size(), 0),
      first_touch_(program.values.size(), -1),
      last_read_(program.values.size(), -1),
      dying_(program.operations.size()) {
  std::vector<char> taken_over(program.values.size(), 0);
  for (const Placement& place : plan.placements)
    if (place.over.index >= 0) taken_over[static_cast<std::size_t>(place.over.index)] = 1;
  const auto section = [&](int operation) { return program.operations[static_cast<std::size_t>(operation)].section; };
  for (const Placement& place : plan.placements)
    if (!taken_over[static_cast<std::size_t>(place.value.index)] && section(place.born) == section(place.dies))
      dying_[static_cast<std::size_t>(place.dies)].push_back(place.value);
}

std::vector<StateId> TouchedBytes::written_anew() const {
  std::vector<StateId> states = program_.states_of(StateKind::gradient);
  const std::vector<StateId> copies = program_.states_of(StateKind::copy);
  states.insert(states.end(), copies.begin(), copies.end());
  return states;
}

std::int64_t TouchedBytes::room_of(StateId id) const {
  return round_up(program_.state(id).type.size_bytes(), arena_alignment_bytes);
}

void TouchedBytes::begin_step(std::byte pattern) {
  for (const Memory memory : {Memory::device, Memory::host})
    if (plan_.bytes_of(memory) > 0) memory_.fill(memory, memory_.arena(memory), plan_.bytes_of(memory), pattern);
  for (const StateId id : written_anew()) memory_.fill(Memory::device, memory_.state(id), room_of(id), pattern);
}

void TouchedBytes::before(int operation, std::byte pattern) {
  for (const ValueId out : program_.operations[static_cast<std::size_t>(operation)].outs) {
    const Placement& place = plan_.placements[static_cast<std::size_t>(out.index)];
    if (place.over.index < 0) memory_.fill(place.memory, address(place), place.slot_bytes(), pattern);
  }
}

// A copy that runs beside others reads and fills until it is awaited.
void TouchedBytes::note_read(ValueId id, int operation) {
  const Operation& op = program_.operations[static_cast<std::size_t>(operation)];
  int& last = last_read_[static_cast<std::size_t>(id.index)];
  last = std::max({last, operation, op.complete_before - 1});
}

void TouchedBytes::after(int operation, std::byte pattern) {
  const Operation& op = program_.operations[static_cast<std::size_t>(operation)];
  for (const ValueId out : op.outs) {
    const auto index = static_cast<std::size_t>(out.index);
    const Placement& place = plan_.placements[index];
    std::int64_t& bytes = value_bytes_[index];
    bytes = std::max(bytes, memory_.touched(place.memory, address(place), place.slot_bytes(), pattern));
    if (first_touch_[index] < 0) first_touch_[index] = operation;
    note_read(out, operation);
  }
  for (const Operand& in : op.ins)
    if (in.is_value()) note_read(in.value(), operation);
  for (const ValueId dead : dying_[static_cast<std::size_t>(operation)]) {
    const Placement& place = plan_.placements[static_cast<std::size_t>(dead.index)];
    memory_.fill(place.memory, address(place), place.size_bytes, pattern);
  }
  if (op.workspace_bytes > 0)
    workspace_end_ = std::max(workspace_end_, plan_.workspace_offsets[static_cast<std::size_t>(operation)] +
                                                  round_up(op.workspace_bytes, arena_alignment_bytes));
}

void TouchedBytes::end_step(std::byte pattern, double loss_sum) {
  losses_.push_back(loss_sum);
  for (const StateId id : written_anew()) {
    std::int64_t& bytes = state_bytes_[static_cast<std::size_t>(id.index)];
    bytes = std::max(bytes, memory_.touched(Memory::device, memory_.state(id), room_of(id), pattern));
  }
}

// Values that lie over each other share their bytes: each place counts once at a time, at the largest size measured in it.
std::int64_t TouchedBytes::measured_largest_live(Memory memory) const {
  std::int64_t largest = 0;
  for (std::size_t i = 0; i < program_.operations.size(); ++i) {
    std::int64_t sum = 0;
    for (std::size_t v = 0; v < program_.values.size(); ++v) {
      if (plan_.placements[v].memory != memory || first_touch_[v] > static_cast<int>(i) ||
          last_read_[v] < static_cast<int>(i))
        continue;
      const ValueId over = plan_.placements[v].over;
      const bool counted = over.index >= 0 && last_read_[static_cast<std::size_t>(over.index)] >= static_cast<int>(i);
      if (!counted) sum += round_up(value_bytes_[v], arena_alignment_bytes);
    }
    largest = std::max(largest, sum);
  }
  return largest;
}

Executor::UsedBytes TouchedBytes::conclude() const {
  Executor::UsedBytes used;
  used.states = memory_.states_bytes(Memory::device);
  used.host_states = memory_.states_bytes(Memory::host);
  used.largest_live = measured_largest_live(Memory::device);
  used.host_largest_live = measured_largest_live(Memory::host);
  used.arena = workspace_end_;
  for (std::size_t v = 0; v < program_.values.size(); ++v) {
    std::int64_t& arena = plan_.placements[v].memory == Memory::host ? used.host_arena : used.arena;
    arena = std::max(arena, plan_.placements[v].offset_bytes + round_up(value_bytes_[v], arena_alignment_bytes));
    if (value_bytes_[v] != plan_.placements[v].size_bytes)
      used.differences.push_back(fmt::format("{} at {}: planned {} bytes, touched {}", program_.values[v].name,
                                             program_.site(program_.values[v].site).path,
                                             plan_.placements[v].size_bytes, value_bytes_[v]));
  }
  for (const StateId id : written_anew()) {
    const std::int64_t planned = program_.state(id).type.size_bytes(),
                       bytes = state_bytes_[static_cast<std::size_t>(id.index)];
    if (bytes != planned)
      used.differences.push_back(
          fmt::format("{}: planned {} bytes, touched {}", program_.state(id).name, planned, bytes));
  }
  for (const double loss : losses_)
    if (std::bit_cast<std::uint64_t>(loss) != std::bit_cast<std::uint64_t>(losses_.front()))
      used.differences.push_back(
          fmt::format("the loss depends on bytes that nobody wrote: {} or {}", losses_.front(), loss));
  return used;
}

}  // namespace stepscope
