// When each value is alive, and which values share one buffer because one takes another's place.
#pragma once

#include <cstdint>
#include <vector>

#include "model/program/program.h"

namespace stepscope {

struct Lifetime {
  int born = -1, dies = -1;  // operations: made by, last read by
  int copied_until = -1;  // the last operation beside which a copy of it, or into it, may still run
  int buffer = -1;  // index in Liveness::buffers
  ValueId over;  // the operand whose place the value takes
};

struct Buffer {  // a chain of values in one place, or a workspace of one operation
  std::int64_t bytes = 0;  // rounded up to 256
  int born = 0, dies = 0;
  int workspace_of = -1;  // operation
  Memory memory = Memory::device;
};

struct Liveness {
  std::vector<Lifetime> lifetimes;  // by value
  std::vector<Buffer> buffers;
};

// A value made before the repeated section and read in it lives to the section's end, source and result of a copy that runs beside other
// work until it is complete. A value takes an operand's place
// where its kind permits it, the sizes agree, the operand is whole, read once, and dies there.
[[nodiscard]] Liveness find_liveness(const Program& program);

// By operation, the sum of the buffers alive at it in one memory.
[[nodiscard]] std::vector<std::int64_t> live_bytes(const Liveness& liveness, std::size_t operations,
                                                   bool with_workspaces, Memory memory = Memory::device);

// The greatest of these sums with workspaces: no arena can be smaller, and nearly every plan's is no larger. Costs a fraction of a plan.
[[nodiscard]] std::int64_t least_arena_bytes(const Program& program);

}  // namespace stepscope
