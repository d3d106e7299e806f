#include "model/training/prices.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include "model/base/any_block.h"
#include "model/techniques/checkpointing.h"

namespace stepscope {

namespace {

constexpr double gib = 1024.0 * 1024 * 1024;

std::vector<ValueId> missing(const KeepSet& all, const KeepSet& kept) {
  std::vector<ValueId> values;
  std::set_difference(all.begin(), all.end(), kept.begin(), kept.end(), std::back_inserter(values));
  return values;
}

// Targets by name and values by place, each set of values once: under the name that a person can write, where there is one.
std::vector<Price> candidates(const Program& forward, const KeepSet& all) {
  std::vector<Price> rows;
  std::set<std::vector<ValueId>> met;
  const auto add = [&](const std::string& target, std::vector<ValueId> values) {
    if (!values.empty() && met.insert(values).second) rows.push_back({.target = target, .dropped = std::move(values)});
  };
  const auto values_in = [&](const std::string& target) {
    const KeepSet inside = made_inside(forward, all, target, "checkpointing");
    return std::vector<ValueId>(inside.begin(), inside.end());
  };
  std::set<std::string> targets;
  for (const Operation& op : forward.operations) {
    targets.emplace(op.kind->name);
    for (SiteId at = op.site; at.index > 0; at = forward.site(at).parent) targets.insert(forward.site(at).layer_class);
  }
  for (const std::string& target : targets) {
    const std::size_t before = rows.size();
    add(target, missing(all, keep_outside(forward, {target})));
    if (rows.size() > before) rows.back().sent = values_in(target);
  }
  std::map<std::string, std::vector<ValueId>> by_place;
  for (const ValueId id : all)
    by_place[any_block(forward.site(forward.value(id).site).path) + " " + forward.value(id).name].push_back(id);
  for (auto& [place, values] : by_place) add(place, std::move(values));
  for (Price& row : rows)
    if (row.sent.empty()) row.sent = row.dropped;
  return rows;
}

double price_of(double ns, std::int64_t freed_bytes) {
  if (freed_bytes <= 0) return std::numeric_limits<double>::infinity();
  return ns / (static_cast<double>(freed_bytes) / gib);
}

bool dominates(const Price& a, const Price& b) {
  return a.freed_bytes >= b.freed_bytes && a.added_ns <= b.added_ns &&
         (a.freed_bytes > b.freed_bytes || a.added_ns < b.added_ns);
}

}  // namespace

double Price::ns_per_gib() const { return price_of(added_ns, freed_bytes); }
double OffloadPrice::ns_per_gib() const { return price_of(added_ns, freed_bytes); }

Prices checkpointing_prices(const ModelSettings& model, const TrainingSettings& training, StepRecipe recipe,
                            const Machine& machine, const Shape& custom_mask_shape, const TimeModel& times) {
  recipe.keep = keepable;
  recipe.offload.targets.clear();
  const StepPlanner planner(model, training, recipe, machine, custom_mask_shape);
  const auto time_of = [&](const Step& step) {
    return step_time_ns(step.program, calibrated_times(step.program, times));
  };
  const KeepSet all = keepable(planner.forward());
  const Step whole = planner.planned(all);
  Prices prices{.arena_bytes = whole.plan.arena_bytes, .step_ns = time_of(whole), .rows = {}};
  prices.rows = candidates(planner.forward(), all);
  for (Price& row : prices.rows) {
    KeepSet keep = all;
    for (const ValueId id : row.dropped) {
      keep.erase(id);
      row.value_bytes += planner.forward().value(id).type.size_bytes();
    }
    const Step step = planner.planned(keep);
    row.freed_bytes = prices.arena_bytes - step.plan.arena_bytes;
    row.added_ns = time_of(step) - prices.step_ns;
    if (machine.rates.host_bandwidth <= 0) continue;
    const Step sent = planner.planned(all, KeepSet(row.sent.begin(), row.sent.end()));
    row.offload = OffloadPrice{.freed_bytes = prices.arena_bytes - sent.plan.arena_bytes,
                               .host_bytes = sent.plan.host_arena_bytes,
                               .added_ns = time_of(sent) - prices.step_ns};
  }
  std::stable_sort(prices.rows.begin(), prices.rows.end(), [](const Price& a, const Price& b) {
    return std::pair(a.ns_per_gib(), -a.freed_bytes) < std::pair(b.ns_per_gib(), -b.freed_bytes);
  });
  for (Price& row : prices.rows)
    for (const Price& other : prices.rows)
      if (row.dominated_by.empty() && dominates(other, row)) row.dominated_by = other.target;
  return prices;
}

}  // namespace stepscope
