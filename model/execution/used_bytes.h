// Measures what a step really touches: before each operation the places of its outputs are filled with a pattern, after it
// the last byte that differs is found. Two steps with two patterns, since a result may happen to equal one of them. Values
// are poisoned again when they die: if the two losses differ in a bit, something was read that nobody had written.
//     TouchedBytes touched(program, plan, memory);
//     for (const std::byte pattern : poison_patterns) { ...; touched.before(i, pattern); run(i); touched.after(i, pattern); }
//     touched.conclude(used);
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "model/execution/executor.h"
#include "model/program/memory_plan.h"

namespace stepscope {

inline constexpr std::array poison_patterns{std::byte{0xA5}, std::byte{0x5A}};

// The memory of a step, wherever it is.
class StepMemory {
 public:
  virtual ~StepMemory() = default;
  [[nodiscard]] virtual std::byte* arena(Memory memory) const = 0;  // null where nothing lies there
  [[nodiscard]] virtual std::byte* state(StateId id) const = 0;
  [[nodiscard]] virtual std::int64_t states_bytes(
      Memory memory) const = 0;  // of the states' allocations, as asked of the machine
  virtual void fill(Memory memory, std::byte* begin, std::int64_t bytes, std::byte pattern) = 0;
  [[nodiscard]] virtual std::int64_t touched(Memory memory, const std::byte* begin, std::int64_t bytes,
                                             std::byte pattern) const = 0;  // up to the last that is not the pattern
};

class TouchedBytes {
 public:
  TouchedBytes(const Program& program, const MemoryPlan& plan, StepMemory& memory);

  void begin_step(std::byte pattern);  // poisons the arena and the states that a step writes anew
  void before(int operation, std::byte pattern);
  void after(int operation, std::byte pattern);
  void end_step(std::byte pattern, double loss_sum);
  [[nodiscard]] Executor::UsedBytes conclude() const;

 private:
  [[nodiscard]] std::vector<StateId> written_anew() const;  // gradients and copies
  [[nodiscard]] std::int64_t room_of(StateId id) const;  // its bytes, rounded up to the next state
  [[nodiscard]] std::byte* address(const Placement& place) const {
    return memory_.arena(place.memory) + place.offset_bytes;
  }
  void note_read(ValueId id, int operation);
  [[nodiscard]] std::int64_t measured_largest_live(Memory memory) const;

  const Program& program_;
  const MemoryPlan& plan_;
  StepMemory& memory_;
  std::vector<std::int64_t> value_bytes_;  // by value: up to the last touched byte
  std::vector<std::int64_t> state_bytes_;  // by state
  std::vector<int> first_touch_, last_read_;  // by value: operations as they really ran
  std::vector<std::vector<ValueId>> dying_;  // by operation: values whose place nobody takes over
  std::vector<double> losses_;  // one a step
  std::int64_t workspace_end_ = 0;  // workspaces count as handed out
};

}  // namespace stepscope
