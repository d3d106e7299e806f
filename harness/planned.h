// A cell before it runs: its step, built and planned for a machine, and the record of all that is known from it.
//     const PlannedCell planned = plan_cell(cell, this_cpu(2), {.fit = &fit, .repeat = "stepscope step ..."});
//     planned.record.bytes.predicted_peak;  planned.step.program;
#pragma once

#include <filesystem>
#include <string>

#include "harness/cell.h"
#include "harness/fit.h"
#include "model/base/error.h"
#include "model/program/cost.h"
#include "model/program/time_model.h"
#include "model/training/prices.h"
#include "model/training/step_program.h"
#include "reports/record.h"
#include "reports/visit.h"

namespace stepscope {

struct PlanOptions {
  const MemoryFit* fit = nullptr;  // what the cell has to fit; null: states and arena the machine's memory
  std::string repeat = {};  // the one-line command that does this cell again
  const Card* card = nullptr;  // whose roofline predicts the time
  const TimeModel* times = nullptr;  // without a card: what predicts the time
  std::string times_source = {};  // where they are from
  const Card* ceilings = nullptr;  // what this machine was measured to do: MFU and HFU divide by them
  std::string no_ceilings = "no peak of this machine is known";  // why there are none
};

[[nodiscard]] Shape mask_shape_of(const MatrixCell& cell);  // of its custom mask; none: empty

// Throws UsageError, told where the field was given; Unsupported where the machine cannot.
[[nodiscard]] Step build_cell_step(const MatrixCell& cell, const Machine& machine);

// What the step of a cell needs, planned and not verified: for those who try many. Where even the least possible arena is too large it
// stays with that one. Throws as build_cell_step does.
struct Needs {
  std::int64_t state_bytes = 0, arena_bytes = 0, host_bytes = 0;  // of the host only where it is the device's memory
  bool fits = false, exact = false;  // exact: arena_bytes are a plan's, not the least that any plan could have
  std::int64_t limit_bytes = 0;  // for both: of the device, or of the cell's own budget where that is less
  [[nodiscard]] std::int64_t total() const { return state_bytes + arena_bytes + host_bytes; }
};
[[nodiscard]] Needs needs_of_cell(const MatrixCell& cell, const Machine& machine, const MemoryFit& fit);
[[nodiscard]] Needs needs_of(const Program& program, const MemoryFit& fit);

// The forward pass of a cell and what makes steps of it with one keep-set or another. Throws as build_cell_step does.
[[nodiscard]] StepPlanner planner_of_cell(const MatrixCell& cell, const Machine& machine);

// Of a cell with its checkpointing set aside. Throws as build_cell_step does.
[[nodiscard]] Prices prices_of_cell(const MatrixCell& cell, const Machine& machine, const TimeModel& times);

// What `make(shape of the cell's mask)` makes; its UsageErrors get the place where the field was given.
template <class Make>
auto with_mask_of(const MatrixCell& cell, const Make& make) {
  const Shape mask = mask_shape_of(cell);
  try {
    return make(mask);
  } catch (const UsageError& error) {
    throw UsageError(cell.given ? located(error.what(), *cell.given) : error.what());
  }
}

// The machine that a program is lowered to for a card: narrow types are multiplied as they are, nothing is widened.
[[nodiscard]] Machine simulated(Machine machine, const Card& card);
[[nodiscard]] Machine with_memory(Machine machine, const MemoryFit& fit);  // what byte budgets choose by

// What the cell's checkpointing keeps of its forward pass; of a budget what it chooses. Throws as build_cell_step does.
[[nodiscard]] KeepSet keep_set_of_cell(const MatrixCell& cell, const Machine& machine, const Program& forward);

struct PlannedCell {
  Step step;
  Record record;  // outcome planned, does-not-fit, unsupported or skipped
  std::int64_t limit_bytes = 0;  // what there is for states and arena; 0: it was not planned
};
[[nodiscard]] PlannedCell plan_cell(const MatrixCell& cell, const Machine& machine, const PlanOptions& options);

// Before anything is allocated: UsageError where the machine's memory is too small for the cell.
void require_fit(const MatrixCell& cell, const Machine& machine);

// Which values of the forward pass a step makes again, by place: "blocks.*.mlp.norm layer_norm" in how many of its places.
[[nodiscard]] std::vector<RepeatedPlace> repeated_places(const Program& program);

// {name: value} of every field of the cell, less derived ones that follow from the rest.
[[nodiscard]] nlohmann::ordered_json axes_of(const Configuration& configuration);

[[nodiscard]] MemoryTimeline memory_timeline(const Step& step);

// The step as a trace that says it was planned: times from the card's roofline alone, memory from the plan. UsageError where the cell is unsupported.
void write_planned_trace(const std::filesystem::path& file, const PlannedCell& planned, const Card& card);

}  // namespace stepscope
