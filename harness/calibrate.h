// Measures what this processor does at most, in a few seconds, and keeps it in the user's cache folder.
//     const Calibration calibration = calibrate(this_cpu(2));        keep_calibration(machine, calibration);
//     const KeptCalibration kept = kept_calibration(machine);        // none, or a stale one: kept.note says so
// $XDG_CACHE_HOME/stepscope, else ~/.cache/stepscope; one file a processor and number of threads. A calibration holds for one
// processor, threads, oneDNN, -march and way of bf16; another one's is ignored.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "model/program/cost.h"
#include "reports/calibration.h"

namespace stepscope {

[[nodiscard]] CalibrationKey calibration_key(const Machine& machine);
[[nodiscard]] Calibration calibrate(const Machine& machine);

[[nodiscard]] std::filesystem::path calibration_file(const Machine& machine);  // "": neither variable is set
// Another file of this machine's there, named as that is: "time-model-amd-epyc-2.json"; "": nowhere.
[[nodiscard]] std::filesystem::path file_beside_calibration(const Machine& machine, const std::string& kind);
void keep_calibration(const Machine& machine,
                      const Calibration& calibration);  // atomically; UsageError: nowhere to write

struct KeptCalibration {
  std::optional<Calibration> calibration;
  std::string note;  // why there is none, in a sentence without its full stop
};
[[nodiscard]] KeptCalibration kept_calibration(const Machine& machine);
// A run that is gone on with keeps its own, RUN/calibration.json, or goes on without one.
[[nodiscard]] KeptCalibration calibration_of_run(const std::filesystem::path& run, const Machine& machine);
[[nodiscard]] KeptCalibration calibration_in(const std::filesystem::path& file, const Machine& machine);

// The speeds that a byte budget weighs repeats by: those of the calibration, where there is one.
[[nodiscard]] Machine with_rates(Machine machine, const KeptCalibration& kept);

}  // namespace stepscope
