// Who owns every byte of a step: the states by kind, the values alive by role, workspace and what lies idle between.
//     for (const auto& [category, bytes] : ledger_of(program, plan).by_category) ...     // sums to state + arena, exactly
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "model/program/memory_plan.h"
#include "model/program/program.h"

namespace stepscope {

struct LedgerRow {
  ValueId value;
  std::string name, owner, shape, dtype;  // name: operation.output; owner: the layer's path
  std::int64_t bytes = 0;  // rounded up to 256
  int born = 0, dies = 0;  // operations, both included
};

using BytesByCategory = std::vector<std::pair<std::string, std::int64_t>>;

// While an operation runs: states first, then the arena, "idle arena" last. Between steps where the operation is -1.
[[nodiscard]] BytesByCategory bytes_by_category(const Program& program, const MemoryPlan& plan, int operation);

struct Ledger {  // where a step needs the most: MemoryPlan::fullest
  BytesByCategory by_category;
  std::vector<LedgerRow> live_at_peak;  // largest first
};

[[nodiscard]] Ledger ledger_of(const Program& program, const MemoryPlan& plan);

}  // namespace stepscope
