#include "model/training/budget.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <mutex>
#include <set>
#include <utility>

#include "model/base/any_block.h"
#include "model/base/error.h"
#include "model/base/hash.h"
#include "model/program/copy_schedule.h"
#include "model/program/liveness.h"
#include "model/techniques/checkpointing.h"
#include "model/techniques/checkpointing_budget.h"

namespace stepscope {

namespace {

// What `auto` leaves to the process beside states and arena, the same in every process so that all choose alike: before it plans the
// program has 11 MiB resident, and its threads' stacks and the matmul library's kernels come to it.
constexpr std::int64_t process_bytes = std::int64_t{64} << 20;

// What decides a frontier: the operations, their types and times.
std::uint64_t fingerprint(const Program& step, const OperationTimes& times) {
  Hash hash;
  for (std::size_t i = 0; i < step.operations.size(); ++i) {
    const Operation& op = step.operations[i];
    hash.add(op.kind->name).add(static_cast<std::uint64_t>(op.workspace_bytes));
    hash.add(static_cast<std::uint64_t>(std::llround(times[i] * 1e3)));
    for (const Operand& in : op.ins)
      hash.add(static_cast<std::uint64_t>(in.is_value() ? in.index : -1)).add(to_string(in.view.shape));
    for (const ValueId out : op.outs)
      hash.add(static_cast<std::uint64_t>(out.index))
          .add(static_cast<std::uint64_t>(step.value(out).type.size_bytes()));
  }
  return hash.value();
}

// Cells of one matrix often differ in their budget alone.
std::vector<FrontierPoint> kept_frontier(const Program& forward, const Program& step, const OperationTimes& times) {
  static std::mutex mutex;
  static std::map<std::uint64_t, std::vector<FrontierPoint>> known;
  const std::lock_guard lock(mutex);
  const auto [found, fresh] = known.try_emplace(fingerprint(step, times));
  if (fresh) found->second = checkpointing_frontier(forward, step, times);
  return found->second;
}

// What `checkpointing` has names for: each class of blocks, both halves of a block together, every 2, 4, 8 ... blocks.
std::map<std::string, KeepSet> named_keep_sets(const Program& forward) {
  std::map<std::string, KeepSet> named{{"none", keepable(forward)}};
  std::set<std::string> classes;
  int blocks = 0;
  for (const Site& site : forward.sites) {
    if (site.layer_class == "MLPBlock" || site.layer_class == "AttentionBlock" ||
        site.layer_class == "TransformerBlock")
      classes.insert(site.layer_class);
    blocks += site.layer_class == "TransformerBlock" ? 1 : 0;
  }
  for (const std::string& name : classes) named[name] = keep_outside(forward, {name});
  if (classes.contains("MLPBlock") && classes.contains("AttentionBlock"))
    named["MLPBlock+AttentionBlock"] = keep_outside(forward, {"MLPBlock", "AttentionBlock"});
  for (int every = 2; every <= blocks; every *= 2) named[fmt::format("every-{}", every)] = keep_every(forward, every);
  return named;
}

}  // namespace

BudgetFrontier::BudgetFrontier(const ModelSettings& model, const TrainingSettings& training, StepRecipe recipe,
                               const Machine& machine, const Shape& custom_mask_shape)
    : recipe_(std::move(recipe)), machine_(machine) {
  const bool open = recipe_.logits_chunks == 0;
  const std::int64_t rows = training.global_batch / std::max<std::int64_t>(1, recipe_.micro_steps) *
                            (training.sequence == 0 ? model.max_sequence : training.sequence);
  std::int64_t least = 0;
  // More chunks than rows are refused by the first planner.
  for (std::int64_t chunks = open ? 1 : recipe_.logits_chunks; members_.empty() || chunks <= rows; chunks *= 2) {
    StepRecipe one = recipe_;
    one.logits_chunks = chunks;
    one.keep = keepable;
    const auto planner = std::make_shared<StepPlanner>(model, training, one, machine, custom_mask_shape);
    planners_[chunks] = planner;
    add_members(*planner);
    const std::int64_t now = std::ranges::min_element(members_, {}, &FrontierMember::peak_bytes)->peak_bytes;
    if (!open || (chunks > 1 && least - now < least / 1000)) break;  // logits no longer fill the fullest moment
    least = now;
  }
  keep_the_best();
}

void BudgetFrontier::add_members(const StepPlanner& planner) {
  const Program& forward = planner.forward();
  const std::size_t first = members_.size();
  const Program step = planner.lowered_apart(keepable(forward));  // a member's own step may have some of them as one
  const OperationTimes times = roofline_times(step, machine_.rates);
  const KeepSetCost cost(forward, step, times);
  const double whole_ns = step_time_ns(step, times);
  const std::int64_t states = state_bytes(step).total();
  const auto add = [&](const std::string& name, KeepSet keep, std::int64_t largest, double repeated_ns) {
    const double repeated = repeated_ns * step.micro_steps;
    members_.push_back({.name = name,
                        .keep = std::move(keep),
                        .logits_chunks = planner.logits_chunks(),
                        .peak_bytes = states + largest,
                        .step_ns = whole_ns + repeated,
                        .repeated_ns = repeated});
  };
  for (auto& [name, keep] : named_keep_sets(forward)) {
    const KeepSetCost::Cost now = cost.of(keep);
    add(name, keep, now.largest_sum_bytes, now.repeated_ns);
  }
  for (FrontierPoint& point : kept_frontier(forward, step, times))
    add("", std::move(point.keep), point.largest_sum_bytes, point.repeated_ns);
  if (!recipe_.offload.targets.empty()) add_offloaded(planner, first);
}

// With named values all that the recipe sends to the host is there, as when they are written. A budget may leave some on the device: it has
// about evenly spaced members, each with the values of the first place, the first two ... in the order of the wait for a byte freed.
void BudgetFrontier::add_offloaded(const StepPlanner& planner, std::size_t first) {
  constexpr std::size_t most_members = 16, most_places = 16;
  const Program& forward = planner.forward();
  const auto priced = [&](FrontierMember member) {
    const Program step = planner.lowered(member.keep, member.on_host);
    const OperationTimes times = roofline_times(step, machine_.rates);
    member.peak_bytes = state_bytes(step).total() + least_arena_bytes(step);
    member.step_ns = step_time_ns(step, times);
    member.wait_ns = copy_wait_ns(step, times);
    return member;
  };
  std::map<std::string, int> seen;
  std::map<std::pair<std::string, int>, KeepSet>
      by_place;  // of every other block: half of them may be what a link can carry
  for (const ValueId id : planner.sent_to_host(keepable(forward))) {
    const std::string place = any_block(forward.site(forward.value(id).site).path) + " " + forward.value(id).name;
    by_place[{place, seen[place]++ % 2}].insert(id);
  }
  std::vector<std::pair<double, KeepSet>> places;
  const FrontierMember whole = priced({.keep = keepable(forward), .logits_chunks = planner.logits_chunks()});
  for (const auto& [place, values] : by_place) {
    const FrontierMember alone = priced({.keep = whole.keep, .on_host = values});
    const auto freed = static_cast<double>(whole.peak_bytes - alone.peak_bytes);
    if (freed > 0) places.emplace_back((alone.step_ns - whole.step_ns) / freed, values);
  }
  std::ranges::stable_sort(places, {}, &std::pair<double, KeepSet>::first);
  std::vector<FrontierMember> bases{whole};
  const std::size_t past = members_.size(), spacing = std::max<std::size_t>(1, (past - first) / most_members);
  for (std::size_t m = first; m < past; ++m) {
    if ((m - first) % spacing == 0) bases.push_back(members_[m]);
    if (members_[m].name.empty()) continue;
    FrontierMember written = members_[m];
    members_[m].name.clear();  // without offload it is nothing that the name gives, but a budget may still find it
    written.on_host = planner.sent_to_host(written.keep);
    members_.push_back(priced(std::move(written)));
  }
  if (machine_.rates.host_bandwidth <= 0) return;  // what a copy costs is not known: nothing to choose by
  for (FrontierMember& base : bases) {
    base.name.clear();
    for (std::size_t p = 0; p < std::min(places.size(), most_places); ++p) {
      const std::size_t before = base.on_host.size();
      std::ranges::set_intersection(places[p].second, base.keep, std::inserter(base.on_host, base.on_host.end()));
      if (base.on_host.size() > before) members_.push_back(priced(base));
    }
  }
}

// Members in the order of time, each with fewer bytes than all before it. Named ones go first among equals.
void BudgetFrontier::keep_the_best() {
  std::ranges::stable_sort(members_, {}, [](const FrontierMember& m) { return std::pair(m.step_ns, m.peak_bytes); });
  const auto [least, most] = std::ranges::minmax_element(members_, {}, &FrontierMember::peak_bytes);
  spread_bytes_ = most->peak_bytes - least->peak_bytes;
  std::vector<FrontierMember> best;
  for (FrontierMember& member : members_) {
    if (best.empty() || member.peak_bytes < best.back().peak_bytes) {
      best.push_back(std::move(member));
    } else if (!member.name.empty()) {
      const auto dominator = std::ranges::find_if(
          best, [&](const FrontierMember& other) { return other.peak_bytes <= member.peak_bytes; });
      member.dominated_by = value_of(*dominator);
      dominated_.push_back(std::move(member));
    }
  }
  members_ = std::move(best);
}

std::string BudgetFrontier::value_of(const FrontierMember& member) const {
  if (!member.name.empty()) return member.name;
  // Of a small step every MiB would be several members' name.
  const bool small = spread_bytes_ < 256 << 20;
  const std::int64_t unit = small ? 1 << 10 : 1 << 20;
  return fmt::format("budget:{}{}", (member.peak_bytes + machine_.context_bytes + unit - 1) / unit,
                     small ? "KiB" : "MiB");
}

std::int64_t BudgetFrontier::planned_peak(const FrontierMember& member) const {
  std::int64_t& known = planned_peaks_[&member];
  if (known == 0) {
    const Step step = planners_.at(member.logits_chunks)->planned(member.keep, member.on_host);
    known = state_bytes(step.program).total() + step.plan.arena_bytes;
  }
  return known;
}

std::int64_t BudgetFrontier::limit_bytes(const MemoryBudget& budget) const {
  if (budget.of == MemoryBudget::Of::bytes) return budget.bytes - machine_.context_bytes;
  const StepPlanner& planner = *planners_.begin()->second;  // the fewest chunks
  const Step whole = planner.planned(keepable(planner.forward()), {});
  const std::int64_t states = state_bytes(whole.program).total();
  if (budget.of == MemoryBudget::Of::share)
    return states + static_cast<std::int64_t>(budget.share * static_cast<double>(whole.plan.arena_bytes));
  const std::int64_t of_process = machine_.copies_states ? states + process_bytes : 0;
  return machine_.memory_bytes - machine_.context_bytes - of_process;
}

StepRecipe BudgetFrontier::recipe_of(const FrontierMember& member) const {
  StepRecipe recipe = recipe_;
  recipe.budget.reset();
  recipe.logits_chunks = member.logits_chunks;
  recipe.keep = [keep = member.keep](const Program&) { return keep; };
  recipe.offload.targets.clear();
  recipe.offload.values = member.on_host;
  return recipe;
}

BudgetChoice BudgetFrontier::choose(const MemoryBudget& budget) const {
  BudgetChoice choice{.limit_bytes = limit_bytes(budget),
                      .logits_chunks = members_.back().logits_chunks,
                      .times_of = machine_.rates.name,
                      .recipe = recipe_of(members_.back())};
  for (const FrontierMember& member : members_) {
    if (member.peak_bytes > choice.limit_bytes || planned_peak(member) > choice.limit_bytes) continue;
    choice.logits_chunks = member.logits_chunks;
    choice.recipe = recipe_of(member);
    break;
  }
  return choice;
}

}  // namespace stepscope
