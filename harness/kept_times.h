// The time model of this machine in the user's cache folder, beside its calibration: what its runs' operations took, and what `plan`
// predicts with.
//     keep_times(machine, times);                          // after a run: joined to what earlier runs measured
//     const KeptTimes kept = kept_times(machine);          // none, or one of another machine: kept.note says so
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "model/program/cost.h"
#include "reports/time_model_file.h"

namespace stepscope {

struct KeptTimes {
  std::optional<TimeModelFile> times;
  std::string note;  // why there is none, in a sentence without its full stop; "": nothing was kept yet
};

[[nodiscard]] std::filesystem::path kept_times_file(const Machine& machine);  // "": nowhere
[[nodiscard]] KeptTimes kept_times(const Machine& machine);
// Atomically. "" or why it could not be kept: a run is no worse for it.
std::string keep_times(const Machine& machine, const TimeModelFile& times);

// "operations of runs/demo (commit 0123abc, 2026-01-05T09:30:00Z) and 2 earlier runs on this machine; ..." with its error, in words.
[[nodiscard]] std::string source_in_words(const TimeModelFile& times);

}  // namespace stepscope
