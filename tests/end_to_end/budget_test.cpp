// Byte budgets as a person uses them: cells of a run, refusals, what is recorded.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "reports/report.h"
#include "reports/run_folder.h"
#include "tests/support/program_run.h"
#include "tests/support/temporary_folder.h"

namespace stepscope {
namespace {

using ::testing::HasSubstr;

class BudgetCells : public TemporaryFolder {};

TEST_F(BudgetCells, use_what_is_planned_and_have_the_gradients_of_keeping_everything) {
  std::ofstream(folder / "m.toml") << R"([model]
preset = "tiny"
[matrix]
precision     = ["bf16"]
checkpointing = ["none", "budget:80%", "budget:45%", "budget:1KiB"]
[measure]
rounds = 1
warmup_steps = 1
timed_steps = 2
profiled_steps = 1
learning_steps = 0
)";
  const testing::ProgramRun said =
      testing::run_program({"run", (folder / "m.toml").string(), "--out", (folder / "run").string(), "--threads", "2"});
  ASSERT_EQ(said.status, 0) << said.error << said.out;
  const MeasuredRun run = read_run(folder / "run");
  std::map<std::string, const Cell*> cells;
  for (const Cell& cell : run.cells) {
    const std::string precision = cell.record.axes.at("precision");
    if (precision == "bf16") cells[cell.record.axes.at("checkpointing").get<std::string>()] = &cell;
  }
  ASSERT_EQ(cells.size(), 4u);
  const Record& whole = cells["none"]->record;
  for (const auto& [name, share] : std::map<std::string, double>{{"budget:80%", 0.8}, {"budget:45%", 0.45}}) {
    SCOPED_TRACE(name);
    const Record& record = cells[name]->record;
    EXPECT_EQ(record.outcome, Outcome::ok) << record.reason;
    EXPECT_EQ(record.bytes.used_peak, record.bytes.predicted_peak);
    EXPECT_LE(static_cast<double>(record.bytes.arena), share * static_cast<double>(whole.bytes.arena));
    ASSERT_TRUE(record.budget);
    EXPECT_EQ(record.budget->limit_bytes,
              record.bytes.state + static_cast<std::int64_t>(share * static_cast<double>(whole.bytes.arena)));
    EXPECT_FALSE(record.budget->repeated.empty());
    EXPECT_FALSE(record.budget->times_of.empty());
    const auto hashes = [](const Cell& cell) {
      std::vector<std::string> all;
      for (const Visit& visit : cell.visits)
        if (visit.kind == VisitKind::timed)
          for (const GradientSummary& gradient : visit.numerics.gradients) all.push_back(gradient.hash);
      return all;
    };
    EXPECT_EQ(hashes(*cells[name]), hashes(*cells["none"]));
  }
  const Record& impossible = cells["budget:1KiB"]->record;
  EXPECT_EQ(impossible.outcome, Outcome::does_not_fit);
  EXPECT_THAT(impossible.reason, HasSubstr("the budget leaves 1.000 KiB for states and arena, the least they take is"));
  // Its report shows what could have been kept and what each budget chose.
  std::map<std::string, std::size_t> tables, figures;
  for (const ReportSection& section : report_on(run).sections)
    for (const Block& block : section.blocks) {
      tables[block.table.name] = block.table.rows.size();
      figures[block.figure.name] = block.figure.rows.size();
    }
  EXPECT_EQ(tables["budgets"], 3u);
  EXPECT_GT(tables["budgets_to_write"], 2u);
  EXPECT_GT(tables["prices"], 10u);
  EXPECT_GT(figures["frontier"], 10u);
}

TEST_F(BudgetCells, that_are_no_budgets_are_refused_in_one_line) {
  for (const char* value : {"budget:", "budget:0%", "budget:101%", "budget:-1GiB", "budget:6", "budget:6gib",
                            "budget:1e30GiB", "budget:nan%", "budget:6 GiB", "budget:auto "}) {
    const testing::ProgramRun said =
        testing::run_program({"plan", "--preset", "tiny", "--set", std::string("checkpointing=") + value});
    EXPECT_EQ(said.status, 2) << value;
    EXPECT_THAT(said.error, HasSubstr("\"budget:SIZE\" (as budget:6GiB)")) << value;
    EXPECT_EQ(std::ranges::count(said.error, '\n'), 1) << said.error;
  }
}

}  // namespace
}  // namespace stepscope
