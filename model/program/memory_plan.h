// Where every value of a Program lies, decided before anything runs. The executors use exactly this plan and allocate nothing.
//     const MemoryPlan plan = plan_memory(program);
//     for (const Placement& p : plan.live_at(plan.peak)) fmt::print("{} {}\n", program.value(p.value).name, p.size_bytes);
// Offsets and sizes are bytes. Times are indices of operations in the order of the program, both ends included.
#pragma once

#include <cstdint>
#include <vector>

#include "model/program/program.h"

namespace stepscope {

inline constexpr std::int64_t arena_alignment_bytes = 256;

struct Placement {  // one value in the arena of its memory
  ValueId value;
  std::int64_t offset_bytes;  // from the base of that arena, a multiple of 256
  std::int64_t size_bytes;  // elements times element size, not rounded
  int born, dies;  // made by; last read by. Made outside the repeated section and read in it: dies at its end
  ValueId over;  // the operand whose place it takes, {-1} if it has its own
  Memory memory = Memory::device;

  [[nodiscard]] std::int64_t slot_bytes() const { return round_up(size_bytes, arena_alignment_bytes); }
};

struct MemoryPlan {
  std::vector<Placement> placements;  // by value id; a value that takes its operand's place has its offset
  std::vector<std::int64_t> workspace_offsets;  // by operation; -1 where it has none
  std::int64_t arena_bytes = 0;  // the one allocation: values, workspaces, padding
  std::int64_t largest_live_bytes = 0;  // greatest sum of live values, each rounded up to 256, workspaces left out
  std::int64_t largest_sum_bytes = 0;  // the same with workspaces: no arena can be smaller
  std::int64_t workspace_bytes = 0;  // the largest workspace of any operation
  std::int64_t host_arena_bytes =
      0;  // the one allocation in host memory, of values that copies bring there; all else is the device's
  std::int64_t host_largest_live_bytes = 0;
  int peak = 0;  // the first operation at which largest_live_bytes are live
  int fullest = 0;  // the first at which largest_sum_bytes are needed: values and its workspace

  [[nodiscard]] std::int64_t fragmentation_bytes() const { return arena_bytes - largest_sum_bytes; }
  [[nodiscard]] std::int64_t bytes_of(Memory memory) const {
    return memory == Memory::device ? arena_bytes : host_arena_bytes;
  }
  [[nodiscard]] std::vector<Placement> live_at(int operation) const;  // on the device: largest first, then by id
  [[nodiscard]] std::vector<std::int64_t> timeline(
      const Program& program) const;  // live bytes at each operation, workspaces included
};

// Bytes of the states on the device by kind, and of all in host memory: each state rounded up to 256.
struct StateBytes {
  std::int64_t parameters = 0, copies = 0, gradients = 0, moments = 0, batch = 0, control = 0;
  std::int64_t host = 0;  // no part of total()
  [[nodiscard]] std::int64_t total() const { return parameters + copies + gradients + moments + batch + control; }
};
[[nodiscard]] StateBytes state_bytes(const Program& program);

// What an executor allocates for states: those of one kind in one memory together.
struct StateAllocation {
  StateKind kind = StateKind::parameter;
  Memory memory = Memory::device;
  std::vector<StateId> states = {};  // not empty
};
[[nodiscard]] std::vector<StateAllocation> state_allocations(const Program& program);

// Pure. Never throws for size: whether a plan fits is its caller's question.
// Source: best fit in five orders, repaired by squeaky-wheel rounds (Joslin and Clements 1999, JAIR 10:353).
[[nodiscard]] MemoryPlan plan_memory(const Program& program);

}  // namespace stepscope
