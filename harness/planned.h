// A cell before it runs: its step, built and planned for a machine, and the record of all that is known from it.
//     const PlannedCell planned = plan_cell(cell, this_cpu(2), {.memory_bytes = 8 << 30, .repeat = "stepscope step ..."});
//     planned.record.bytes.predicted_peak;  planned.step.program;
#pragma once

#include <filesystem>
#include <string>

#include "harness/cell.h"
#include "model/program/cost.h"
#include "model/training/prices.h"
#include "model/training/step_program.h"
#include "reports/record.h"
#include "reports/visit.h"

namespace stepscope {

struct PlanOptions {
  std::int64_t budget_bytes = 0;  // 0: the machine's memory
  std::string repeat = {};  // the one-line command that does this cell again
  const Card* card = nullptr;  // whose roofline predicts the time, and whose memory is the limit, less its context
  const Card* ceilings = nullptr;  // what this machine was measured to do: MFU and HFU divide by them
  std::string no_ceilings = "no peak of this machine is known";  // why there are none
};

// Throws UsageError, told where the field was given; Unsupported where the machine cannot.
[[nodiscard]] Step build_cell_step(const MatrixCell& cell, const Machine& machine);

// Of a cell with its checkpointing set aside. Throws as build_cell_step does.
[[nodiscard]] Prices prices_of_cell(const MatrixCell& cell, const Machine& machine, const Card& card);

struct PlannedCell {
  Step step;
  Record record;  // outcome planned, does-not-fit, unsupported or skipped
  std::int64_t limit_bytes = 0;  // what it had to fit; 0: it was not planned
};
[[nodiscard]] PlannedCell plan_cell(const MatrixCell& cell, const Machine& machine, const PlanOptions& options);

// Before anything is allocated: UsageError where the machine's memory is too small for the cell.
void require_fit(const MatrixCell& cell, const Machine& machine);

// {name: value} of every field of the cell, less derived ones that follow from the rest.
[[nodiscard]] nlohmann::ordered_json axes_of(const Configuration& configuration);

[[nodiscard]] MemoryTimeline memory_timeline(const Step& step);

// The step as a trace that says it was planned: times from the card's roofline alone, memory from the plan. UsageError where the cell is unsupported.
void write_planned_trace(const std::filesystem::path& file, const PlannedCell& planned, const Card& card);

}  // namespace stepscope
