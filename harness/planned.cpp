#include "harness/planned.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "harness/device.h"
#include "harness/session.h"
#include "model/base/any_block.h"
#include "model/base/error.h"
#include "model/program/copy_schedule.h"
#include "model/program/liveness.h"
#include "model/training/batch_file.h"
#include "model/training/budget.h"
#include "profiles/ledger.h"
#include "profiles/perfetto.h"
#include "profiles/planned_trace.h"
#include "reports/calibration.h"
#include "reports/format.h"

namespace stepscope {

namespace {

nlohmann::ordered_json json_of(const Choice& choice) {
  return std::visit([](const auto& held) -> nlohmann::ordered_json { return held; }, choice);
}

// Whether a derived field is what it would be had nobody given it.
bool follows_from_the_others(const Field& field, Configuration configuration) {
  if (!field.derived) return false;
  const Choice given = field.get(configuration);
  field.set(configuration, std::int64_t{0});
  try {
    configuration.model = resolved(configuration.model);
  } catch (const UsageError&) {  // it has to be given: heads that do not divide the width
    return false;
  }
  return field.get(configuration) == given;
}

void add_plan(Record& record, const MatrixCell& cell, const Step& step, const Machine& machine) {
  record.parameters = step.program.parameter_count();
  record.bytes.state = state_bytes(step.program).total();
  record.bytes.largest_live = step.plan.largest_live_bytes;
  record.bytes.arena = step.plan.arena_bytes;
  record.bytes.workspace = step.plan.workspace_bytes;
  record.bytes.predicted_peak = record.bytes.state + record.bytes.arena;
  record.bytes.by_category = ledger_of(step.program, step.plan).by_category;
  if (const std::int64_t states = state_bytes(step.program).host; states + step.plan.host_arena_bytes > 0) {
    const CopyTraffic traffic = copy_traffic(step.program);
    record.bytes.host = HostBytes{.state = states,
                                  .arena = step.plan.host_arena_bytes,
                                  .copied_to = traffic.to_host_bytes,
                                  .copied_from = traffic.from_host_bytes};
  }
  const StepFlops flops = step_flops(step.program);
  record.flops = {.model = flops.model, .launched = flops.launched, .recomputed = flops.recomputed};
  record.numerics.arithmetic = multiplies(machine, recipe_of(cell.configuration).compute) ? "native" : "widened";
}

void add_budget(Record& record, const Step& step) {
  if (!step.budget) return;
  record.budget = BudgetRecord{.limit_bytes = step.budget->limit_bytes,
                               .logits_chunks = step.budget->logits_chunks,
                               .times_of = step.budget->times_of,
                               .repeated = repeated_places(step.program)};
}

void add_peak(Record& record, const MatrixCell& cell, const PlanOptions& options) {
  const std::string precision(name_of(recipe_of(cell.configuration).compute));
  const double peak = options.ceilings == nullptr ? 0 : peak_named(*options.ceilings, precision);
  record.peak.source = options.no_ceilings;
  if (peak <= 0) return;
  record.peak.flops_per_second = peak;
  record.peak.source = fmt::format("the best {} matmul of this machine's calibration", precision);
}

// A CPU's host memory is its only one.
std::int64_t beside_on_host(const Record& record, const Machine& machine) {
  return record.bytes.host && machine.kind == Machine::Kind::cpu ? record.bytes.host->planned() : 0;
}

// Whether the budget had no say in how many chunks logits are computed in.
bool chunks_may_help(const MatrixCell& cell) { return recipe_of(cell.configuration).logits_chunks == 1; }

void add_time(Record& record, const Program& program, const PlanOptions& options) {
  if (options.card != nullptr) {
    const OperationTimes times = roofline_times(program, *options.card);
    record.predicted_time = {.step_ns = step_time_ns(program, times),
                             .card = options.card->name,
                             .source = "roofline of " + options.card->name};
    if (record.bytes.host && options.card->host_bandwidth > 0)
      record.predicted_time->copy_wait_ns = copy_wait_ns(program, times);
  } else if (options.times != nullptr) {
    const PredictedStep step = predicted_step(*options.times, counted_work(program));
    record.predicted_time = {.step_ns = step.time_ns,
                             .card = options.times->ceilings.name,
                             .source = options.times_source,
                             .measured_share = step.measured_share};
  }
}

}  // namespace

std::vector<RepeatedPlace> repeated_places(const Program& program) {
  std::map<std::string, std::pair<std::int64_t, std::int64_t>> counts;
  std::set<int> again;
  for (const Operation& op : program.operations)
    if (op.phase == Phase::recompute) again.insert(op.original);
  int forward = 0;
  for (const Operation& op : program.operations) {
    if (op.phase != Phase::prologue && op.phase != Phase::forward) continue;
    const bool repeated = again.contains(forward++);
    if (op.phase != Phase::forward) continue;
    auto& [dropped, all] = counts[fmt::format("{} {}", any_block(program.site(op.site).path), op.kind->name)];
    dropped += repeated ? 1 : 0, ++all;
  }
  std::vector<RepeatedPlace> places;
  for (const auto& [place, count] : counts)
    if (count.first > 0) places.push_back({place, count.first, count.second});
  return places;
}

Shape mask_shape_of(const MatrixCell& cell) {
  const std::string file = mask_file_of(cell.configuration.model);
  if (file.empty()) return {};
  try {
    return read_mask_file(file).shape;
  } catch (const UsageError& error) {
    throw UsageError(cell.given ? located(error.what(), *cell.given, "mask") : error.what());
  }
}

Step build_cell_step(const MatrixCell& cell, const Machine& machine) {
  const Configuration& c = cell.configuration;
  return with_mask_of(cell,
                      [&](const Shape& mask) { return build_step(c.model, c.training, recipe_of(c), machine, mask); });
}

StepPlanner planner_of_cell(const MatrixCell& cell, const Machine& machine) {
  const Configuration& c = cell.configuration;
  return with_mask_of(cell,
                      [&](const Shape& mask) { return StepPlanner(c.model, c.training, recipe_of(c), machine, mask); });
}

namespace {

Needs exact_needs(const Program& program, const MemoryPlan& plan, const MemoryFit& fit) {
  const StateBytes states = state_bytes(program);
  Needs needs{.state_bytes = states.total(), .arena_bytes = plan.arena_bytes};
  if (fit.holds_host) needs.host_bytes = states.host + plan.host_arena_bytes;
  needs.exact = true;
  needs.limit_bytes = fit.limit_bytes(needs.state_bytes);
  needs.fits = needs.total() <= needs.limit_bytes;
  return needs;
}

}  // namespace

Needs needs_of(const Program& program, const MemoryFit& fit) {
  const StateBytes states = state_bytes(program);
  Needs least{.state_bytes = states.total(), .arena_bytes = least_arena_bytes(program)};
  if (fit.holds_host) least.host_bytes = states.host;
  least.limit_bytes = fit.limit_bytes(least.state_bytes);
  return least.total() > least.limit_bytes ? least : exact_needs(program, plan_memory(program), fit);
}

Needs needs_of_cell(const MatrixCell& cell, const Machine& machine, const MemoryFit& fit) {
  if (recipe_of(cell.configuration).budget) {
    const Step step = build_cell_step(cell, machine);
    Needs needs = exact_needs(step.program, step.plan, fit);
    needs.limit_bytes = std::min(needs.limit_bytes, step.budget->limit_bytes);
    needs.fits = needs.total() <= needs.limit_bytes;
    return needs;
  }
  const StepPlanner planner = planner_of_cell(cell, machine);
  return with_mask_of(cell, [&](const Shape&) {
    return needs_of(planner.lowered(recipe_of(cell.configuration).keep(planner.forward())), fit);
  });
}

Prices prices_of_cell(const MatrixCell& cell, const Machine& machine, const TimeModel& times) {
  const Configuration& c = cell.configuration;
  return with_mask_of(cell, [&](const Shape& mask) {
    return checkpointing_prices(c.model, c.training, recipe_of(c), machine, mask, times);
  });
}

Machine simulated(Machine machine, const Card& card) {
  machine.native_bf16 = machine.native_fp16 = true;
  machine.tf32 = card.tf32_flops > 0;
  machine.kind = Machine::Kind::cuda;
  machine.rates = card;
  return machine;
}

Machine with_memory(Machine machine, const MemoryFit& fit) {
  machine.memory_bytes = fit.memory.bytes;
  machine.copies_states = fit.copies_states;
  if (machine.kind == Machine::Kind::cpu) return machine;  // here a budget is for states and arena, as in step and run
  machine.context_bytes = 0;
  for (const MemoryPart& part : fit.beside) machine.context_bytes += part.bytes;
  return machine;
}

KeepSet keep_set_of_cell(const MatrixCell& cell, const Machine& machine, const Program& forward) {
  const Configuration& c = cell.configuration;
  const StepRecipe recipe = recipe_of(c);
  if (!recipe.budget) return recipe.keep(forward);
  return with_mask_of(cell, [&](const Shape& mask) {
    return BudgetFrontier(c.model, c.training, recipe, machine, mask).choose(*recipe.budget).recipe.keep(forward);
  });
}

PlannedCell plan_cell(const MatrixCell& cell, const Machine& machine, const PlanOptions& options) {
  PlannedCell planned;
  Record& record = planned.record;
  record.id = cell.id;
  record.axes = axes_of(cell.configuration);
  record.repeat = options.repeat;
  record.device = {.kind = kind_of_device(machine), .name = machine.name};
  if (options.card != nullptr) record.device = {.kind = "simulated", .name = options.card->name};
  record.tokens_per_step = cell.configuration.training.global_batch * cell.configuration.training.sequence;
  add_peak(record, cell, options);
  try {
    planned.step = build_cell_step(cell, machine);
  } catch (const Unsupported& error) {
    record.outcome = Outcome::unsupported;
    record.reason = error.what();
    return planned;
  }
  add_plan(record, cell, planned.step, machine);
  add_budget(record, planned.step);
  add_time(record, planned.step.program, options);
  const std::int64_t limit = planned.limit_bytes =
      options.fit == nullptr ? machine.memory_bytes : options.fit->limit_bytes(record.bytes.state);
  planned.limit_bytes -= beside_on_host(record, machine);
  if (record.budget) planned.limit_bytes = std::min(planned.limit_bytes, record.budget->limit_bytes);
  if (!cell.excluded_by.empty()) {
    record.outcome = Outcome::skipped;
    record.reason = "excluded by " + cell.excluded_by;
  } else if (record.budget && record.bytes.predicted_peak > record.budget->limit_bytes) {
    record.outcome = Outcome::does_not_fit;
    record.reason = fmt::format("the budget leaves {} for states and arena, the least they take is {}{}",
                                format_bytes(static_cast<double>(record.budget->limit_bytes)),
                                format_bytes(static_cast<double>(record.bytes.predicted_peak)),
                                chunks_may_help(cell) ? "; logits_chunks = \"auto\" may take less" : "");
  } else if (const std::int64_t needed = record.bytes.predicted_peak + beside_on_host(record, machine);
             needed > limit) {
    record.outcome = Outcome::does_not_fit;
    record.reason = fmt::format("{} are needed, there are {}", format_bytes(static_cast<double>(needed)),
                                format_bytes(static_cast<double>(std::max<std::int64_t>(limit, 0))));
  }
  return planned;
}

void require_fit(const MatrixCell& cell, const Machine& machine) {
  const Record plan = plan_cell(cell, machine, {}).record;
  if (plan.outcome == Outcome::does_not_fit)
    throw UsageError(fmt::format("{} does not fit: {}; stepscope plan shows what needs less", plan.id, plan.reason));
}

nlohmann::ordered_json axes_of(const Configuration& configuration) {
  nlohmann::ordered_json axes;
  for (const Technique& technique : techniques()) {  // first: what a reader looks for
    const Field& field = field_named(technique.name, "");
    if (!applies(field, configuration)) continue;
    axes[field.name] = json_of(field.get(configuration));
  }
  for (const Field& field : fields()) {
    if (field.section == "measure" || field.section == "techniques") continue;
    if (!applies(field, configuration)) continue;
    if (follows_from_the_others(field, configuration)) continue;
    axes[field.name] = json_of(field.get(configuration));
  }
  return axes;
}

MemoryTimeline memory_timeline(const Step& step) {
  MemoryTimeline timeline{.live_bytes = step.plan.timeline(step.program),
                          .phases = {},
                          .peak_operation = step.plan.fullest,
                          .live_at_peak = {}};
  for (std::size_t i = 0; i < step.program.operations.size(); ++i) {
    const std::string phase(name_of(step.program.operations[i].phase));
    if (timeline.phases.empty() || timeline.phases.back().phase != phase)
      timeline.phases.push_back({.phase = phase, .operation = static_cast<int>(i)});
  }
  for (const LedgerRow& row : ledger_of(step.program, step.plan).live_at_peak) {
    timeline.live_at_peak.push_back({.name = row.name,
                                     .shape = row.shape,
                                     .dtype = row.dtype,
                                     .owner = row.owner,
                                     .bytes = row.bytes,
                                     .born = row.born,
                                     .dies = row.dies});
  }
  return timeline;
}

void write_planned_trace(const std::filesystem::path& file, const PlannedCell& planned, const Card& card) {
  const Program& program = planned.step.program;
  if (planned.record.outcome == Outcome::unsupported)
    throw UsageError(fmt::format("--trace {}: {}: {}", file.string(), planned.record.id, planned.record.reason));
  write_trace(
      file, program, planned.step.plan, planned_trace(program, roofline_times(program, card)),
      {.cell = planned.record.id,
       .device = card.name,
       .times = fmt::format("planned, nothing ran: each operation as long as {}'s peaks allow at best", card.name)});
}

}  // namespace stepscope
