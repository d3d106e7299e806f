// Fits a program to a machine: which neighbours are one operation there, and the workspace of each. Nothing else about a program depends on
// the machine.
//     Program forward = fused(build_transformer(...), machine, kept);       // before it is differentiated
//     lower(program, machine);                                              // after
#pragma once

#include <set>

#include "model/program/cost.h"
#include "model/program/program.h"

namespace stepscope {

// A forward program in which operations that the machine has as one are one: a linear with a bias and a gelu in narrow types, on a machine
// with kernels. Values stay as they are, and only those are joined that are both kept for backward or neither: of a pair of which one is
// made again, the other would be too. Bits differ from those of the two operations in the last place, so a program and what it is held
// against must be fused for the same `kept`.
[[nodiscard]] Program fused(Program forward, const Machine& machine, const std::set<ValueId>& kept);

void lower(Program& program, const Machine& machine);  // sets workspace_bytes of every operation

}  // namespace stepscope
