// The mixes that were advised, run as any matrix is, and what their times say of the advice.
//     const MeasuredAdvice measured = measure_mixes(adviser, advice, {.base = base, .best = 3, .out = "runs/advice", ...});
// The best and their neighbours are the cells of RUN/matrix.toml. A run that has one is gone on with, whatever would be advised by now.
// Throws as Coordinator does.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "harness/advise.h"
#include "reports/record.h"
#include "reports/statistics.h"

namespace stepscope {

struct MeasureRequest {
  MatrixCell base;
  int best = 1;
  std::filesystem::path out;
  Machine machine;
  std::string command;  // the whole line, to go on with
  bool quiet = false;
};

struct MeasuredMix {
  Mix mix;
  std::string id, outcome;
  std::optional<StepTime> time;  // none: its outcome says why
  std::optional<Interval> ratio = {};  // to the time of the advised mix, in the rounds of both
};

struct MeasuredAdvice {
  std::vector<MeasuredMix> rows;  // the fastest first, those without a time last
  std::string sentence;  // what the times say of the advice
};

// UsageError where the folder holds a run of another model or training.
void require_run_of(const MatrixCell& base, const std::filesystem::path& out);

[[nodiscard]] MeasuredAdvice measure_mixes(Adviser& adviser, const Advice& advice, const MeasureRequest& request);

// rows: the advised mix first.
[[nodiscard]] MeasuredAdvice corrected(std::vector<MeasuredMix> rows);

}  // namespace stepscope
