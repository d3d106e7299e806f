// How far a step is from what its machine could do at best: for each operation the greater of its FLOPs by the measured peak and its
// bytes by the measured bandwidth (model/program/cost.h), summed.
//     const std::optional<StepFloor> floor = floor_of(cell, card_of(*run.calibration));
//     for (const FloorRow& row : by_layer_kind(*floor)) ...     // the blocks together, most time above the floor first
// ns a step. The bytes of an operation are those of its operands, each once; those a run of it moves say from which cache they may come.
// A floor above the time would mean that a ceiling is too low: exceeds() finds such rows.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "reports/explanation.h"

namespace stepscope {

struct FloorRow {
  std::string phase = {}, site = {}, operation = {};
  std::int64_t count = 0, flops = 0, bytes = 0;
  double time_ns = 0;
  double compute_ns = 0, memory_ns = 0;  // each alone
  double floor_ns = 0;
  [[nodiscard]] double above_ns() const { return time_ns - floor_ns; }
};

struct StepFloor {
  std::vector<FloorRow> rows = {};  // as profiled: phase x layer x operation
  double step_ns = 0;  // profiled, all of it
  double between_operations_ns = 0;  // nothing is asked for there: its floor is 0
  double floor_ns = 0;  // sum of the rows
};

// Nothing without a good profiled visit, or where the peak of the cell's precision or the bandwidth is not known.
[[nodiscard]] std::optional<StepFloor> floor_of(const Cell& cell, const Card& ceilings);

[[nodiscard]] std::vector<FloorRow> by_layer_kind(const StepFloor& floor);
[[nodiscard]] std::vector<FloorRow> by_operation(
    const StepFloor& floor);  // operation x phase, in the order of the step
[[nodiscard]] std::vector<FloorRow> exceeds(const StepFloor& floor, double tolerance);  // floor > time (1 + tolerance)

}  // namespace stepscope
