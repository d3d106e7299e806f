// Two runs side by side: what is sure is called so, a run against another of its kind raises no alarm, and nothing is left out.
#include "reports/run_comparison.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/base/file.h"
#include "reports/comparison.h"
#include "reports/comparison_page.h"
#include "reports/report.h"
#include "tests/reports/synthetic_run.h"
#include "tests/support/temporary_folder.h"

namespace stepscope {
namespace {

using ::testing::HasSubstr;

class RunComparisons : public TemporaryFolder {
 protected:
  MeasuredRun run(const std::string& name, const SyntheticRun& of) { return read_run(of.write(folder / name)); }
};

const SyntheticRun quick{.timed_steps = 4, .learning_steps = 0};

const CellComparison& of_precision(const RunComparison& comparison, const std::string& precision) {
  const auto found = std::find_if(comparison.cells.begin(), comparison.cells.end(), [&](const CellComparison& cell) {
    return !cell.is_sentinel && precision_of(cell.a->record) == precision;
  });
  return *found;
}

TEST_F(RunComparisons, one_program_is_told_from_its_machine_by_the_reference_cell) {
  MeasuredRun a = run("a", {.rounds = 5, .timed_steps = 4, .noise = 0.002, .drift = 0, .learning_steps = 0, .seed = 1}),
              b = run("b", {.rounds = 5, .timed_steps = 4, .noise = 0.002, .drift = 0, .learning_steps = 0, .seed = 2});
  for (Cell& cell : b.cells)  // the machine was a tenth slower
    for (Visit& visit : cell.visits)
      for (double& step : visit.step_time_ns) step *= 1.1;
  const RunComparison same = compare_runs(a, b);
  EXPECT_TRUE(same.against_sentinel);
  for (const CellComparison& cell : same.cells) {
    if (!cell.time) continue;
    EXPECT_EQ(cell.verdict == Verdict::slower || cell.verdict == Verdict::faster, false) << cell.label;
    if (cell.is_sentinel) {
      EXPECT_NEAR(cell.time->ratio.middle, 1.1, 0.01);
    }
  }
  EXPECT_FALSE(same.has_regression());
  b.environment["program_hash"] = "another";  // then the program may be what is slower
  const RunComparison other = compare_runs(a, b);
  EXPECT_FALSE(other.against_sentinel);
  EXPECT_TRUE(other.has_regression());
  EXPECT_THAT(sentence_of(other), HasSubstr("slower"));
  ASSERT_FALSE(other.environment.empty());
  EXPECT_EQ(other.environment.back().what, "program_hash");
}

// 5 % at noise of 1 %: found in every one of twenty runs; and of twenty without it at most one raises an alarm.
TEST_F(RunComparisons, of_twenty_runs_of_their_kind_at_most_one_is_called_different_and_five_percent_always_is) {
  const MeasuredRun still = run("still", {.rounds = 5,
                                          .noise = 0,
                                          .failures = false,
                                          .learning_steps = 0,
                                          .cells = {{"fp32", "none", 1}, {"bf16", "none", 1}}});
  std::mt19937 random(3);
  const auto scaled = [](MeasuredRun of, const std::string& precision, auto&& factor) {
    for (Cell& cell : of.cells)
      for (Visit& visit : cell.visits) {
        const double by = precision.empty() || precision_of(cell.record) == precision ? factor() : 1;
        for (double& step : visit.step_time_ns) step *= by;
      }
    return of;
  };
  const auto noisy = [&] { return std::exp(std::normal_distribution<>(0, 0.01)(random)); };
  int alarms = 0, found = 0;
  for (int i = 0; i < 20; ++i) {
    const MeasuredRun a = scaled(still, "", noisy), b = scaled(still, "", noisy);
    const Verdict verdict = of_precision(compare_runs(a, b), "bf16").verdict;
    alarms += verdict == Verdict::slower || verdict == Verdict::faster ? 1 : 0;
    const MeasuredRun slower = scaled(b, "bf16", [] { return 1.05; });
    found += of_precision(compare_runs(a, slower), "bf16").verdict == Verdict::slower ? 1 : 0;
  }
  EXPECT_LE(alarms, 1);
  EXPECT_EQ(found, 20);
}

TEST_F(RunComparisons, cells_are_matched_by_what_both_versions_know_of_them_and_none_is_left_out) {
  MeasuredRun a = run("a", quick), b = run("b", quick);
  for (Cell& cell : b.cells) cell.record.axes["added_later"] = 3, cell.record.id += "-new";
  const Record gone = b.cells.front().record;
  b.cells.erase(b.cells.begin());
  const RunComparison comparison = compare_runs(a, b);
  EXPECT_EQ(comparison.cells.size() + 1, a.cells.size());
  ASSERT_EQ(comparison.only_a.size(), 1U);
  EXPECT_EQ(comparison.only_a.front()->record.id + "-new", gone.id);
  EXPECT_TRUE(comparison.only_b.empty());
}

TEST_F(RunComparisons, a_byte_more_and_a_failure_are_regressions) {
  const MeasuredRun a = run("a", quick);
  MeasuredRun bigger = a, failed = a;
  bigger.cells[2].record.bytes.used_peak = peak_bytes(a.cells[2].record) + 1;
  const RunComparison more = compare_runs(a, bigger);
  EXPECT_TRUE(more.has_regression());
  EXPECT_THAT(sentence_of(more), HasSubstr("1 need more memory"));
  failed.cells[2].record.outcome = Outcome::timeout;
  const RunComparison lost = compare_runs(a, failed);
  EXPECT_TRUE(lost.has_regression());
  EXPECT_EQ(verdict_in_words(lost.cells[2]), "failed: timeout");
  EXPECT_FALSE(compare_runs(a, a).has_regression());
}

TEST_F(RunComparisons, a_page_says_what_differed_first_and_has_every_cell) {
  const MeasuredRun a = run("a", quick),
                    b = run("b", {.timed_steps = 4, .bf16_time = 0.7, .learning_steps = 0, .seed = 2});
  const RunComparison comparison = compare_runs(a, b);
  const Report report = comparison_report(a, b, comparison);
  ASSERT_EQ(report.sections.size(), 3U);
  EXPECT_EQ(report.sections[0].id, "environment");
  EXPECT_TRUE(report.simulated);
  write_comparison(a, b, comparison, folder / "page");
  const std::string page = read_file(folder / "page" / "report" / "report.md");
  for (const CellComparison& cell : comparison.cells) EXPECT_THAT(page, HasSubstr(cell.label));
  EXPECT_TRUE(std::filesystem::exists(folder / "page" / "report" / "figures" / "ratios.csv"));
  EXPECT_TRUE(std::filesystem::exists(folder / "page" / "report" / "figures" / "difference.csv"));
}

}  // namespace
}  // namespace stepscope
