// Two runs side by side: what differed around them, then cell by cell what got slower, faster or bigger.
//     const RunComparison comparison = compare_runs(read_run("runs/before"), read_run("runs/after"));
//     comparison.cells.front().verdict;   comparison.has_regression();
// Cells are matched by their axes. Where one program made both runs, only the machine can have changed between them, and each run's times
// are taken against its reference cell, the sentinel of its rounds. Where the programs differ they stand as they are, so that a program
// that got slower everywhere is seen. Of all verdicts together the chance of a false alarm is below 5 % (Holm).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "reports/names.h"
#include "reports/run_folder.h"
#include "reports/statistics.h"

namespace stepscope {

struct EnvironmentDifference {
  std::string what = {}, a = {}, b = {};
};

struct CellComparison {
  const Cell* a = nullptr;
  const Cell* b = nullptr;
  std::string label = {};  // as in run a
  std::optional<RatioTest> time = {};  // b / a; none: one of them has no time
  Verdict verdict = Verdict::undecided;
  bool is_sentinel = false;  // of a pair of runs of one program: its ratio is the machine's
  bool failed = false, mended = false;  // ok in a alone, in b alone
  [[nodiscard]] std::int64_t more_bytes() const;  // of the whole peak, exact
};

struct RunComparison {
  std::vector<EnvironmentDifference> environment = {};
  bool same_program = false;
  bool against_sentinel = false;  // times were divided by the reference cell's of their round
  std::vector<CellComparison> cells = {};  // in a's order
  std::vector<const Cell*> only_a = {}, only_b = {};
  [[nodiscard]] bool has_regression() const;  // a cell is slower, bigger or failed
};
[[nodiscard]] RunComparison compare_runs(const MeasuredRun& a, const MeasuredRun& b);

[[nodiscard]] std::string verdict_in_words(const CellComparison& cell);  // "slower", "the machine", "failed: timeout"
[[nodiscard]] std::string sentence_of(const RunComparison& comparison);

}  // namespace stepscope
