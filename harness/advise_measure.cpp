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
#include "harness/progress.h"
#include "model/base/error.h"
#include "reports/comparison.h"
#include "reports/format.h"
#include "reports/recommendation.h"

namespace stepscope {

namespace {

constexpr double far_off = 1.3;  // a time that many times its prediction, or that part of it, is remarked on

// The best ones and their neighbours, each once: the answer, then the fastest by prediction.
std::vector<Mix> mixes_to_run(Adviser& adviser, const Advice& advice, int best) {
  std::vector<Mix> mixes(advice.mixes.begin(),
                         advice.mixes.begin() + std::min<std::ptrdiff_t>(best, std::ssize(advice.mixes)));
  std::set<TechniqueValues> met;
  for (const Mix& mix : mixes) met.insert(mix.values);
  const std::vector<Mix> chosen = mixes;
  for (const Mix& mix : chosen)
    for (Mix& other : adviser.neighbours(mix))
      if (met.insert(other.values).second) mixes.push_back(std::move(other));
  std::stable_sort(mixes.begin() + 1, mixes.end(), [](const Mix& a, const Mix& b) { return a.step_ns < b.step_ns; });
  return mixes;
}

// Those that a run began with: times that it measured may by now advise others.
std::vector<Mix> mixes_of_run(Adviser& adviser, const std::filesystem::path& matrix) {
  std::vector<Mix> mixes;
  for (const MatrixCell& cell : read_matrix(matrix.string(), {}).cells)
    if (std::optional<Mix> mix = adviser.evaluated(technique_values(cell.configuration)))
      mixes.push_back(std::move(*mix));
  return mixes;
}

// Steps that a visit makes beside the timed ones: the one whose bytes are counted, and that of its numerics.
constexpr int other_steps = 2;

double predicted_seconds(const std::vector<Mix>& mixes, const MeasureSettings& measure) {
  const double timed = measure.warmup_steps + measure.timed_steps + other_steps;
  const double profiled = measure.profiled_steps > 0 ? measure.warmup_steps + 3 * measure.profiled_steps : 0;
  double step_ns = 0;
  for (const Mix& mix : mixes) step_ns += mix.step_ns;
  return step_ns * 1e-9 * (static_cast<double>(measure.rounds) * timed + profiled);
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
  const bool none = std::none_of(rows.begin(), rows.end(), [](const MeasuredMix& row) { return row.time.has_value(); });
  if (none) {
    measured.rows = std::move(rows);
    measured.sentence = "Nothing could be measured: the advice stands as predicted.";
    return measured;
  }
  const MeasuredMix advised = rows.front();
  std::stable_sort(rows.begin(), rows.end(), [](const MeasuredMix& a, const MeasuredMix& b) {
    if (!a.time || !b.time) return a.time.has_value() && !b.time.has_value();
    return a.time->median < b.time->median;
  });
  const MeasuredMix& best = rows.front();
  const std::string fastest = fmt::format("{}: {} a step, {} were predicted", in_words(best.mix.values),
                                          with_interval(*best.time), format_time(best.mix.step_ns));
  const std::string other = in_words(advised.mix.values);
  if (best.id == advised.id)
    measured.sentence = fmt::format("Measured: use {}. The advice stands.", fastest);
  else if (!advised.time)
    measured.sentence = fmt::format("Measured: use {}. The advice changed: {}, advised before, has no time ({}).",
                                    fastest, other, advised.outcome);
  else if (best.ratio && best.ratio->high && *best.ratio->high < 1)
    measured.sentence =
        fmt::format("Measured: use {}. The advice changed: {}, advised before, took {}; the ratio is {}.", fastest,
                    other, with_interval(*advised.time), format_ratio(*best.ratio));
  else if (!best.ratio || !best.ratio->high || *best.ratio->high > widest_interval * *best.ratio->low)
    measured.sentence = fmt::format(
        "Measured, but the visits differ too much to tell: {} took {}; the fastest was {}. Measure again "
        "when the machine is quiet, or more rounds.",
        other, with_interval(*advised.time), fastest);
  else
    measured.sentence = fmt::format(
        "Measured, the advice stands: {} took {}. The fastest was {}, but these visits cannot tell the two apart. "
        "Measure more rounds to know.",
        other, with_interval(*advised.time), fastest);
  const double off = best.time->median / best.mix.step_ns;
  if (off > far_off || off < 1 / far_off)
    measured.sentence += fmt::format(
        " Predictions were far off, by {:.1f} times: the order of these mixes is measured, the rest is not.",
        off > 1 ? off : 1 / off);
  measured.rows = std::move(rows);
  return measured;
}

namespace {

// Cells whose numerics are not those of their reference have no time here, as in the report.
std::vector<MeasuredMix> rows_of(const MeasuredRun& run, const std::vector<Mix>& mixes,
                                 const std::vector<MatrixCell>& cells) {
  const auto cell_of = [&](std::size_t i) {
    return std::find_if(run.cells.begin(), run.cells.end(),
                        [&](const Cell& cell) { return cell.record.id == cells[i].id; });
  };
  std::vector<MeasuredMix> rows;
  for (std::size_t i = 0; i < mixes.size(); ++i) {
    const auto cell = cell_of(i), advised = cell_of(0);
    if (cell == run.cells.end()) continue;
    const Record& record = cell->record;
    rows.push_back({.mix = mixes[i],
                    .id = record.id,
                    .outcome = std::string(name_of(record.outcome)),
                    .time = has_time(record) ? record.step_time_ns : std::nullopt,
                    .ratio = advised == run.cells.end() ? std::nullopt : time_ratio(*cell, *advised)});
  }
  return rows;
}

}  // namespace

void require_run_of(const MatrixCell& base, const std::filesystem::path& out) {
  const std::filesystem::path file = out / "matrix.toml";
  if (!std::filesystem::exists(file)) return;
  const std::vector<MatrixCell> cells = read_matrix(file.string(), {}).cells;
  if (cells.empty() || cell_with(cells.front(), technique_values(base.configuration)).id != base.id)
    throw UsageError(
        fmt::format("--out {}: holds a run of another model or training; name a new folder", out.string()));
}

MeasuredAdvice measure_mixes(Adviser& adviser, const Advice& advice, const MeasureRequest& request) {
  const std::filesystem::path file = request.out / "matrix.toml";
  const bool begun = std::filesystem::exists(file);
  const std::vector<Mix> mixes = begun ? mixes_of_run(adviser, file) : mixes_to_run(adviser, advice, request.best);
  std::vector<MatrixCell> cells;
  for (const Mix& mix : mixes) cells.push_back(adviser.cell_of(mix.values));
  watch_interrupts();
  Coordinator coordinator({.matrix = matrix_of_cells(request.base.configuration, cells, file.string()),
                           .out = request.out,
                           .machine = request.machine,
                           .only = {},
                           .command = request.command,
                           .arguments = file.string(),
                           .calibration = calibration_of_run(request.out, request.machine)});
  if (!request.quiet) {
    if (begun) fmt::print("{} has its mixes already: it is gone on with\n", request.out.string());
    fmt::print("to measure: {} mixes in {} rounds, {} of steps where the predictions hold\n", mixes.size(),
               request.base.configuration.measure.rounds,
               readable_time(predicted_seconds(mixes, request.base.configuration.measure)));
  }
  const RunEnd end = [&] {
    const ProgressAside aside(request.quiet);
    return coordinator.run();
  }();
  if (!request.quiet)
    for (const std::string& note : end.notes) fmt::print("note: {}\n", note);
  if (end.interrupted) {
    fmt::print(stderr, "stopped; go on with: {}\n", request.command);
    throw ExitStatus{interrupted_status};
  }
  return corrected(rows_of(read_run(request.out), mixes, cells));
}

}  // namespace stepscope
