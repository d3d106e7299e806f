// A run as it lies on disk, read whole: every record, every visit, what the machine was, and the matrix it was asked.
//     const MeasuredRun run = read_run("runs/demo");
// A cell's folder without a record, or a file of another schema, is a UsageError: a report never leaves a cell out silently.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "reports/calibration.h"
#include "reports/choices.h"
#include "reports/record.h"
#include "reports/statistics.h"
#include "reports/time_model_file.h"
#include "reports/visit.h"

namespace stepscope {

struct Cell {
  Record record = {};
  std::vector<Visit> visits = {};  // by the number in visit-K.json

  [[nodiscard]] VisitsByRound timed_medians() const;  // ns; good timed visits only
  // Good timed visits whose files are there, where the record tells of more: of a published run, or one copied half-way. None: all are.
  [[nodiscard]] std::optional<int> visits_left() const;
};

struct MeasuredRun {
  std::string name = {};  // of the folder
  std::vector<Cell> cells = {};  // in the matrix's order
  nlohmann::ordered_json environment =
      nlohmann::ordered_json::object();  // environment.json as it is; empty where there is none
  std::string matrix_text = {};  // matrix.toml as it is
  std::optional<Calibration> calibration = {};  // calibration.json; none: the machine was not calibrated
  std::optional<TimeModelFile> times = {};  // time_model.json; none: not calibrated, or nothing was profiled

  std::optional<Choices> choices = {};  // choices.json; none: a run of an earlier version

  [[nodiscard]] const Cell* find(std::string_view id) const;
};

[[nodiscard]] MeasuredRun read_run(const std::filesystem::path& folder);

}  // namespace stepscope
