#include "profiles/ledger.h"

#include <array>

#include "model/program/operation.h"

namespace stepscope {

BytesByCategory bytes_by_category(const Program& program, const MemoryPlan& plan, int operation) {
  const StateBytes states = state_bytes(program);
  std::array<std::int64_t, 4> by_role{};
  std::int64_t live = 0, workspace = 0;
  if (operation >= 0 && operation < static_cast<int>(program.operations.size())) {
    for (const Placement& p : plan.live_at(operation)) {
      by_role[static_cast<std::size_t>(program.value(p.value).role)] += p.slot_bytes();
      live += p.slot_bytes();
    }
    workspace =
        round_up(program.operations[static_cast<std::size_t>(operation)].workspace_bytes, arena_alignment_bytes);
  }
  return {{"parameters", states.parameters},
          {"copies", states.copies},
          {"gradients", states.gradients},
          {"moments", states.moments},
          {"batch", states.batch},
          {"control", states.control},
          {"activations", by_role[static_cast<std::size_t>(Role::activation)]},
          {"activation gradients", by_role[static_cast<std::size_t>(Role::gradient)]},
          {"statistics",
           by_role[static_cast<std::size_t>(Role::statistic)] + by_role[static_cast<std::size_t>(Role::scalar)]},
          {"workspace", workspace},
          {"idle arena", plan.arena_bytes - live - workspace}};
}

Ledger ledger_of(const Program& program, const MemoryPlan& plan) {
  Ledger ledger;
  ledger.by_category = bytes_by_category(program, plan, plan.fullest);
  if (program.operations.empty()) return ledger;
  for (const Placement& p : plan.live_at(plan.fullest)) {
    const Value& value = program.value(p.value);
    const OperationKind& maker = *program.operations[static_cast<std::size_t>(p.born)].kind;
    ledger.live_at_peak.push_back({p.value, std::string(maker.name) + "." + value.name, program.site(value.site).path,
                                   to_string(value.type.shape), std::string(name_of(value.type.dtype)), p.slot_bytes(),
                                   p.born, p.dies});
  }
  return ledger;
}

}  // namespace stepscope
