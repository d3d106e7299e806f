#include "harness/advise_measure.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <set>

#include "harness/calibrate.h"
#include "harness/commands/commands.h"
#include "harness/coordinator.h"
#include "harness/interrupt.h"
#include "harness/matrix.h"
#include "model/base/error.h"
#include "reports/format.h"

namespace stepscope {

namespace {

// The best ones and their neighbours, each once, the fastest by prediction first.
std::vector<Mix> mixes_to_run(Adviser& adviser, const Advice& advice, int best) {
  std::vector<Mix> mixes(advice.mixes.begin(),
                         advice.mixes.begin() + std::min<std::ptrdiff_t>(best, std::ssize(advice.mixes)));
  std::set<TechniqueValues> met;
  for (const Mix& mix : mixes) met.insert(mix.values);
  const std::vector<Mix> chosen = mixes;
  for (const Mix& mix : chosen)
    for (Mix& other : adviser.neighbours(mix))
      if (met.insert(other.values).second) mixes.push_back(std::move(other));
  std::stable_sort(mixes.begin(), mixes.end(), [](const Mix& a, const Mix& b) { return a.step_ns < b.step_ns; });
  return mixes;
}

// While it lives, what a run says of its progress goes to standard error: standard output is for one object a line.
class ProgressAside {
 public:
  explicit ProgressAside(bool wanted) {
    if (!wanted) return;
    std::fflush(stdout);
    kept_ = dup(STDOUT_FILENO);
    dup2(STDERR_FILENO, STDOUT_FILENO);
  }
  ~ProgressAside() {
    if (kept_ < 0) return;
    std::fflush(stdout);
    dup2(kept_, STDOUT_FILENO);
    close(kept_);
  }
  ProgressAside(const ProgressAside&) = delete;
  ProgressAside& operator=(const ProgressAside&) = delete;

 private:
  int kept_ = -1;
};

std::string with_interval(const StepTime& time) {
  if (!time.low) return format_time(time.median) + ", one visit";
  return fmt::format("{} ({} to {})", format_time(time.median), format_time(*time.low), format_time(*time.high));
}

}  // namespace

MeasuredAdvice corrected(std::vector<MeasuredMix> rows) {
  MeasuredAdvice measured;
  const auto first =
      std::find_if(rows.begin(), rows.end(), [](const MeasuredMix& row) { return row.time.has_value(); });
  if (first == rows.end()) {
    measured.rows = std::move(rows);
    measured.sentence = "Nothing could be measured: the advice stands as predicted.";
    return measured;
  }
  const MeasuredMix predicted_best = rows.front();
  std::stable_sort(rows.begin(), rows.end(), [](const MeasuredMix& a, const MeasuredMix& b) {
    if (!a.time || !b.time) return a.time.has_value() && !b.time.has_value();
    return a.time->median < b.time->median;
  });
  const MeasuredMix& best = rows.front();
  const std::string fastest = fmt::format("{}: {} a step, {} were predicted", in_words(best.mix.values),
                                          with_interval(*best.time), format_time(best.mix.step_ns));
  const std::string other = in_words(predicted_best.mix.values);
  if (best.id == predicted_best.id)
    measured.sentence = fmt::format("Measured: use {}. The predicted answer stands.", fastest);
  else if (!predicted_best.time)
    measured.sentence =
        fmt::format("Measured: use {}. The order changed: {}, predicted to be the fastest, has no time ({}).", fastest,
                    other, predicted_best.outcome);
  else if (best.time->high && predicted_best.time->low && *best.time->high < *predicted_best.time->low)
    measured.sentence = fmt::format("Measured: use {}. The order changed: {}, predicted to be the fastest, took {}.",
                                    fastest, other, with_interval(*predicted_best.time));
  else
    measured.sentence = fmt::format(
        "Measured, the fastest was {}; the order changed, but these visits cannot tell it from {}, predicted to be the "
        "fastest: {}. Measure more rounds to know.",
        fastest, other, with_interval(*predicted_best.time));
  measured.rows = std::move(rows);
  return measured;
}

MeasuredAdvice measure_mixes(Adviser& adviser, const Advice& advice, const MeasureRequest& request) {
  const std::vector<Mix> mixes = mixes_to_run(adviser, advice, request.best);
  std::vector<MatrixCell> cells;
  for (const Mix& mix : mixes) cells.push_back(adviser.cell_of(mix.values));
  const std::string again =
      fmt::format("stepscope advise {} --measure {} --out {}", request.arguments, request.best, request.out.string());
  watch_interrupts();
  Coordinator coordinator(
      {.matrix = matrix_of_cells(request.base.configuration, cells, (request.out / "matrix.toml").string()),
       .out = request.out,
       .machine = request.machine,
       .only = {},
       .command = again,
       .arguments = (request.out / "matrix.toml").string(),
       .calibration = calibration_of_run(request.out, request.machine)});
  const RunEnd end = [&] {
    const ProgressAside aside(request.quiet);
    return coordinator.run();
  }();
  if (!request.quiet)
    for (const std::string& note : end.notes) fmt::print("note: {}\n", note);
  if (end.interrupted) {
    fmt::print(stderr, "stopped; go on with: {}\n", again);
    throw ExitStatus{interrupted_status};
  }
  std::vector<MeasuredMix> rows;
  for (std::size_t i = 0; i < mixes.size(); ++i) {
    const Record record = read_record(request.out / "cells" / cells[i].id / "record.json");
    rows.push_back({.mix = mixes[i],
                    .id = record.id,
                    .outcome = std::string(name_of(record.outcome)),
                    .time = record.step_time_ns});
  }
  return corrected(std::move(rows));
}

}  // namespace stepscope
