// Nine rules that every program keeps, checked in every build before anything runs.
//     verify(program, plan, reference);                             // throws ProgramError: rule, operation, site
// V1 defined before use, copies awaited before their results    V2 shapes, types and memories follow from the kinds
// V3 no operation reads bytes another has overwritten, or overwrites what a copy beside it reads or fills
// V4 one chain of writers a state, one gradient write a parameter (two if tied), updates last
// V5 a repeat equals its original   V6 every state's history equals that of keep-everything    V7 random sites unique
// V8 workspace within its cap       V9 phases nest, sites are not empty
#pragma once

#include <map>
#include <string>
#include <vector>

#include "model/program/memory_plan.h"
#include "model/program/program.h"

namespace stepscope {

// A hash of how each state comes to its content in a step: kinds, attributes and operands, back to the states at its start.
// Repeats and their originals hash alike, and a copy in another memory as what was copied, so equal hashes prove that neither checkpointing nor
// offload changed anything.
using StateHistories = std::vector<std::uint64_t>;  // by state
[[nodiscard]] StateHistories state_histories(const Program& program);

// All rules that need no plan: V1 V2 V4 V5 V7 V9, and V6 where a reference is given.
void verify(const Program& program, const StateHistories* keep_everything = nullptr);
// V3 and V8: the plan carried out over a map of the arena, each section twice.
void verify(const Program& program, const MemoryPlan& plan);

}  // namespace stepscope
