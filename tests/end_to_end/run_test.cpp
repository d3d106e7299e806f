// A matrix measured from end to end, as a person calls it: records, resume, outcomes, report.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "reports/run_folder.h"
#include "tests/support/program_run.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/trace_file.h"

namespace stepscope {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class RunTest : public TemporaryFolder {
 protected:
  std::string matrix(const std::string& more = "") {
    std::ofstream(folder / "m.toml") << R"([model]
preset = "tiny"
[matrix]
precision     = ["fp32", "bf16"]
checkpointing = ["none", "TransformerBlock"]
[measure]
rounds         = 2
warmup_steps   = 1
timed_steps    = 3
profiled_steps = 1
learning_steps = 20
)" << more;
    return (folder / "m.toml").string();
  }
  testing::ProgramRun run(std::vector<std::string> more = {}) {
    more.insert(more.begin(),
                {"run", (folder / "m.toml").string(), "--out", (folder / "run").string(), "--threads", "2"});
    return testing::run_program(more);
  }
  MeasuredRun records() { return read_run(folder / "run"); }
};

TEST_F(RunTest, four_cells_are_measured_verified_and_reported) {
  matrix();
  const testing::ProgramRun said = run();
  ASSERT_EQ(said.status, 0) << said.error << said.out;
  EXPECT_THAT(said.out, HasSubstr("cells: 4 ok"));
  const MeasuredRun run = records();
  ASSERT_EQ(run.cells.size(), 4U);
  int learned = 0;
  for (const Cell& cell : run.cells) {
    const Record& r = cell.record;
    EXPECT_EQ(r.outcome, Outcome::ok) << r.id << r.reason;
    EXPECT_EQ(r.bytes.used_peak, r.bytes.predicted_peak) << r.id;
    EXPECT_TRUE(r.step_time_ns && r.step_time_ns->visits == 2 && r.step_time_ns->low < r.step_time_ns->median) << r.id;
    EXPECT_TRUE(r.numerics.gradient_error && *r.numerics.gradient_error <= *r.numerics.gradient_limit) << r.id;
    std::int64_t categories = 0;
    for (const auto& [name, bytes] : r.bytes.by_category) categories += bytes;
    EXPECT_EQ(categories, r.bytes.predicted_peak);
    for (const Visit& visit : cell.visits) {
      learned += visit.kind == VisitKind::learning;
      if (visit.kind != VisitKind::profiled) continue;
      double spans_ns = 0, steps_ns = 0;
      for (const SpanSum& span : visit.spans) spans_ns += span.time_ns;
      for (const double ns : visit.step_time_ns) steps_ns += ns;
      EXPECT_LE(spans_ns, steps_ns);  // the batch is filled outside the observed step
      EXPECT_GE(spans_ns, 0.5 * steps_ns);
      const auto sums = testing::operation_sums(testing::read_trace(folder / "run" / "cells" / r.id / "trace.json.gz"));
      EXPECT_EQ(sums.size() + 1, visit.spans.size());  // gaps are a row of the visit
      for (const SpanSum& span : visit.spans) {
        const auto sum = sums.find({span.phase, span.site, span.operation});
        if (span.phase == "between") continue;
        ASSERT_NE(sum, sums.end());
        EXPECT_EQ(static_cast<double>(sum->second.time_ns), span.time_ns);  // one profiled step
        EXPECT_EQ(sum->second.flops, span.flops);
        EXPECT_EQ(sum->second.bytes, span.bytes);
      }
    }
  }
  EXPECT_EQ(run.environment["model"], "tiny: 2 layers, hidden 64, 2 heads, sequence 32, vocabulary 256");
  EXPECT_EQ(run.environment["data"], "synthetic");
  EXPECT_GE(learned, 2);
  // fp32 cells differ only in what they keep: to the bit.
  EXPECT_EQ(run.cells[1].record.numerics.gradient_error, 0.0);
  ASSERT_EQ(testing::run_program({"report", (folder / "run").string()}).status, 0);
  EXPECT_TRUE(fs::exists(folder / "run" / "report" / "report.md"));
  EXPECT_TRUE(fs::exists(folder / "run" / "report" / "cells.csv"));
}

TEST_F(RunTest, a_finished_run_has_nothing_left_to_do) {
  matrix();
  ASSERT_EQ(run().status, 0);
  const auto written = fs::last_write_time(
      *std::find_if(fs::recursive_directory_iterator(folder / "run" / "cells"), {},
                    [](const fs::directory_entry& e) { return e.path().filename() == "visit-1.json"; }));
  const testing::ProgramRun again = run();
  EXPECT_EQ(again.status, 0);
  EXPECT_THAT(again.out, ::testing::Not(HasSubstr(" timed ")));
  EXPECT_EQ(written, fs::last_write_time(*std::find_if(
                         fs::recursive_directory_iterator(folder / "run" / "cells"), {},
                         [](const fs::directory_entry& e) { return e.path().filename() == "visit-1.json"; })));
}

TEST_F(RunTest, rounds_are_added_until_intervals_are_as_tight_as_asked_for_or_no_more_are_allowed) {
  matrix();
  const testing::ProgramRun never = run({"--precision", "0.01%", "--most-rounds", "3", "--set", "profiled_steps=0"});
  EXPECT_EQ(never.status, 0) << never.error;
  EXPECT_THAT(never.out, HasSubstr("3 rounds, the most that were allowed: "));
  for (const Cell& cell : records().cells) EXPECT_EQ(cell.record.step_time_ns->visits, 3) << cell.record.id;
  const testing::ProgramRun wide = run({"--precision", "50%", "--most-rounds", "9", "--set", "profiled_steps=0"});
  EXPECT_THAT(wide.out, HasSubstr("rounds: every interval is within"));
  EXPECT_EQ(run({"--precision", "1"}).status, 2);
  EXPECT_EQ(run({"--precision", "0%"}).status, 2);
  EXPECT_EQ(run({"--precision", "1%", "--fast"}).status, 2);
}

TEST_F(RunTest, another_matrix_is_refused) {
  matrix();
  ASSERT_EQ(run({"--fast"}).status, 0);
  const testing::ProgramRun other = run({"--fast", "--set", "layers=3"});
  EXPECT_EQ(other.status, 2);
  EXPECT_THAT(other.error,
              HasSubstr("environment.json: " + (folder / "run").string() + " holds a run of another matrix;"));
}

TEST_F(RunTest, only_one_cell_brings_its_reference_along) {
  matrix();
  const std::string plan = testing::run_program({"plan", (folder / "m.toml").string(), "--json"}).out;
  const std::size_t at = plan.find("\"id\":\"bf16-TransformerBlock") + 6;
  const std::string id = plan.substr(at, plan.find('"', at) - at);
  ASSERT_EQ(run({"--fast", "--only", id}).status, 0);
  const MeasuredRun run = records();
  ASSERT_EQ(run.cells.size(), 2U);
  const Cell* cell = run.find(id);  // in the matrix's order the reference stands before it
  ASSERT_NE(cell, nullptr);
  EXPECT_EQ(cell->record.outcome, Outcome::ok);
  EXPECT_EQ(cell->record.numerics.reference, run.cells[0].record.id);
  EXPECT_EQ(this->run({"--fast"}).status, 0) << "the whole matrix goes on in the same folder";
  EXPECT_EQ(records().cells.size(), 4U);
}

TEST_F(RunTest, a_cell_that_is_too_big_or_excluded_is_a_row) {
  std::ofstream(folder / "m.toml") << R"([model]
preset = "tiny"
[matrix]
hidden = [64, 1048576]
[[exclude]]
hidden = 64
precision = "bf16"
[[cell]]
precision = "bf16"
[measure]
rounds = 1
timed_steps = 1
profiled_steps = 0
)";
  ASSERT_EQ(run().status, 0);
  std::map<Outcome, const Record*> by_outcome;
  const MeasuredRun run = records();
  for (const Cell& cell : run.cells) by_outcome[cell.record.outcome] = &cell.record;
  ASSERT_TRUE(by_outcome.contains(Outcome::does_not_fit) && by_outcome.contains(Outcome::skipped) &&
              by_outcome.contains(Outcome::ok));
  EXPECT_THAT(by_outcome[Outcome::does_not_fit]->reason, HasSubstr("needed"));
  EXPECT_THAT(by_outcome[Outcome::skipped]->reason, HasSubstr("m.toml:"));
  for (const auto& [outcome, record] : by_outcome) EXPECT_THAT(record->repeat, HasSubstr("stepscope step"));
}

TEST_F(RunTest, a_worker_that_gives_no_sign_of_life_is_ended) {
  std::ofstream(folder / "m.toml")
      << "[model]\npreset = \"seed\"\n[training]\nglobal_batch = 16\nsequence = 256\n[measure]\nrounds = "
         "1\ntimed_steps = 1\nprofiled_steps = 0\ntimeout_seconds = 1\n";
  const testing::ProgramRun said = run();
  EXPECT_EQ(said.status, 3);  // not a single cell was measured
  EXPECT_THAT(said.out, HasSubstr("cells: 1 timeout"));
  EXPECT_THAT(said.error, HasSubstr("no cell was measured (1 timeout)"));
  const MeasuredRun run = records();
  ASSERT_EQ(run.cells.size(), 1U);
  EXPECT_EQ(run.cells[0].record.outcome, Outcome::timeout);
  EXPECT_FALSE(run.cells[0].record.step_time_ns);
}

TEST_F(RunTest, a_time_limit_lowers_rounds_and_says_so) {
  matrix();
  const testing::ProgramRun said = run({"--time-limit", "1", "--set", "measure.rounds=1000"});  // many seconds
  ASSERT_EQ(said.status, 0);
  const int rounds = records().environment.at("rounds");
  EXPECT_GE(rounds, 1);
  EXPECT_LT(rounds, 1000);
  EXPECT_THAT(said.out, HasSubstr(std::to_string(rounds) + " of 1000 rounds"));
}

}  // namespace
}  // namespace stepscope
