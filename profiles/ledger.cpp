#include "profiles/ledger.h"

#include <array>

#include "model/program/operation.h"

namespace stepscope {

Ledger ledger_of(const Program& program, const MemoryPlan& plan) {
  const StateBytes states = state_bytes(program);
  Ledger ledger;
  ledger.by_category = {{"parameters", states.parameters}, {"copies", states.copies}, {"gradients", states.gradients},
                        {"moments", states.moments},       {"batch", states.batch},   {"control", states.control}};
  std::array<std::int64_t, 4> by_role{};
  std::int64_t live = 0;
  for (const Placement& p : plan.live_at(plan.fullest)) {
    const Value& value = program.value(p.value);
    const OperationKind& maker = *program.operations[static_cast<std::size_t>(p.born)].kind;
    ledger.live_at_peak.push_back({p.value, std::string(maker.name) + "." + value.name, program.site(value.site).path,
                                   to_string(value.type.shape), std::string(name_of(value.type.dtype)), p.slot_bytes(),
                                   p.born, p.dies});
    by_role[static_cast<std::size_t>(value.role)] += p.slot_bytes();
    live += p.slot_bytes();
  }
  const std::int64_t workspace =
      program.operations.empty()
          ? 0
          : round_up(program.operations[static_cast<std::size_t>(plan.fullest)].workspace_bytes, arena_alignment_bytes);
  ledger.by_category.emplace_back("activations", by_role[static_cast<std::size_t>(Role::activation)]);
  ledger.by_category.emplace_back("activation gradients", by_role[static_cast<std::size_t>(Role::gradient)]);
  ledger.by_category.emplace_back("statistics", by_role[static_cast<std::size_t>(Role::statistic)] +
                                                    by_role[static_cast<std::size_t>(Role::scalar)]);
  ledger.by_category.emplace_back("workspace", workspace);
  ledger.by_category.emplace_back("idle arena", plan.arena_bytes - live - workspace);
  return ledger;
}

}  // namespace stepscope
