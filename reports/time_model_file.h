// A time model with where it is from: RUN/time_model.json, and a copy in the user's cache that `plan` predicts with.
//     const TimeModelFile times = read_time_model(run / "time_model.json");
//     for (const TimeModelSource& source : times.sources) ...      // which runs' records, of which commit
// It holds for one processor, threads, oneDNN, -march and way of bf16, as a calibration does. ns. Reading throws UsageError as record.h does.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/program/time_model.h"
#include "reports/calibration.h"

namespace stepscope {

inline constexpr std::string_view time_model_schema = "stepscope.time_model/1";

struct TimeModelSource {  // the records of a run
  std::string run = {};  // its folder's name
  std::string time = {};  // when it began, UTC
  std::string commit = {};
  int cells = 0;  // whose profiles were used
};

struct LeftOutError {  // of cells predicted from the others of their run: |predicted / measured - 1|
  int cells = 0;
  double median = 0, worst = 0;
  std::string worst_cell = {};
  std::optional<double> rank_correlation = {};  // Spearman's, of predicted and measured times
};

struct TimeModelFile {
  CalibrationKey key = {};
  std::vector<TimeModelSource> sources = {};  // MeasuredOperation::source is an index of it; the newest first
  std::optional<LeftOutError> left_out_error = {};  // of the newest
  double timed_over_profiled =
      1;  // by which profiled times were scaled, so that they sum to timed steps: the middle cell's
  TimeModel model = {};
};

// What `newer` did not measure comes from `older`, unless that is another machine's.
[[nodiscard]] TimeModelFile joined(TimeModelFile newer, const TimeModelFile& older);

[[nodiscard]] TimeModelFile read_time_model(const std::filesystem::path& file);
void write_time_model(const std::filesystem::path& file, const TimeModelFile& times);  // atomically

}  // namespace stepscope
