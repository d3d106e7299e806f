// What a step was predicted to take before it was measured, held against what it took. A measured cell is predicted from the profiles
// of the other cells of its run alone; its own times are left out, only what its step consists of is taken from it.
//     const std::optional<TimeModelFile> times = publish_predictions(run_folder);   // records and RUN/time_model.json, atomically
//     const std::optional<LeftOutError> error = left_out_error(run);                // from the records
// A profile says how a step divides, the timed visits how long it is: profiled times are scaled to sum to the step of the middle one of
// those that nothing disturbed. ns.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "reports/run_folder.h"
#include "reports/time_model_file.h"

namespace stepscope {

// Nothing where the machine was not calibrated, or no cell has both a profile and a time. `left_out`: the id of a cell not to be seen.
[[nodiscard]] std::optional<TimeModelFile> learn_times(const MeasuredRun& run, const std::string& left_out = "");

// For each cell in the run's order, from all others; nothing where its step's operations are not known.
[[nodiscard]] std::vector<std::optional<PredictedStep>> predict_left_out(const MeasuredRun& run);

// Of cells with both times. Nothing without one.
[[nodiscard]] std::optional<LeftOutError> left_out_error(const MeasuredRun& run);
struct OrderOfPairs {
  int pairs = 0;  // predicted more than 10 % apart
  int in_order = 0;  // of those, measured in that order
};
[[nodiscard]] OrderOfPairs order_of_pairs(const MeasuredRun& run);

// Writes predicted_time of every cell that can be predicted, and the model of all. What learn_times gives.
std::optional<TimeModelFile> publish_predictions(const std::filesystem::path& run_folder);

}  // namespace stepscope
