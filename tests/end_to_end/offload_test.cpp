// Offload as a person uses it: what a plan says of both memories and of the wait, refusals, and cells of a run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "reports/report.h"
#include "reports/run_folder.h"
#include "tests/support/program_run.h"
#include "tests/support/temporary_folder.h"

namespace stepscope {
namespace {

using ::testing::HasSubstr;

nlohmann::json planned(const std::string& offload) {
  const testing::ProgramRun run =
      testing::run_program({"plan", "--preset", "gpt2-124m", "--set", "precision=bf16", "--set", "global_batch=4",
                            "--set", "offload=" + offload, "--card", "l4", "--json"});
  EXPECT_EQ(run.status, 0) << run.error;
  return nlohmann::json::parse(run.out.substr(0, run.out.find('\n')));
}

TEST(PlannedOffload, a_window_too_short_shows_its_wait_in_the_predicted_time) {
  const nlohmann::json none = planned("\"none\"");
  EXPECT_TRUE(none["bytes"]["host"].is_null());
  const double work = none["predicted_time"]["step_ns"];
  double before = 0;
  for (const char* window : {"4", "1", "0"}) {
    const nlohmann::json plan = planned(std::string("[\"activations:TransformerBlock\",\"window:") + window + "\"]");
    const double wait = plan["predicted_time"]["copy_wait_ns"], step = plan["predicted_time"]["step_ns"];
    EXPECT_GE(wait, before) << window;
    EXPECT_NEAR(step, work + wait, 1e-6 * work) << window;
    before = wait;
    const nlohmann::json host = plan["bytes"]["host"];
    EXPECT_GT(host["arena"], 0);
    EXPECT_EQ(host["copied_to"], host["copied_from"]);
    EXPECT_LT(plan["bytes"]["arena"], none["bytes"]["arena"]);
  }
  EXPECT_LT(planned("activations:TransformerBlock")["predicted_time"]["copy_wait_ns"], before) << "of its own window";
  const nlohmann::json whole = planned("[\"activations:TransformerBlock\",\"window:0\"]");
  const double copied =
      whole["bytes"]["host"]["copied_to"].get<double>() + whole["bytes"]["host"]["copied_from"].get<double>();
  EXPECT_NEAR(before, copied / 32e9 * 1e9, 1);  // the link of an L4
}

TEST(PlannedOffload, mistakes_are_one_line_with_status_2) {
  for (const auto& [set, said] : std::map<std::string, std::string>{
           {"offload=gradients", "offload = gradients: must be"},
           {"offload=master", "offload = master: needs precision"},
           {"offload=activations:Convolution", "offload = activations:Convolution: no such layer or operation"}}) {
    const testing::ProgramRun run = testing::run_program({"plan", "--preset", "tiny", "--set", set});
    EXPECT_EQ(run.status, 2);
    EXPECT_THAT(run.error, HasSubstr(said));
    EXPECT_EQ(std::count(run.error.begin(), run.error.end(), '\n'), 1) << run.error;
  }
  const testing::ProgramRun budget = testing::run_program(
      {"plan", "--preset", "tiny", "--set", "offload=activations:MLPBlock", "--set", "checkpointing=budget:80%"});
  EXPECT_EQ(budget.status, 2);
  EXPECT_THAT(budget.error, HasSubstr("host_bandwidth"));
}

class OffloadedCells : public TemporaryFolder {};

TEST_F(OffloadedCells, use_what_is_planned_on_both_sides_and_have_the_gradients_of_the_others) {
  std::ofstream(folder / "m.toml") << R"([model]
preset = "tiny"
[matrix]
precision = ["bf16"]
offload   = ["none", ["optimizer", "master", "activations:TransformerBlock"]]
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
  int offloaded = 0;
  std::vector<std::string> hashes[2];
  for (const Cell& cell : run.cells) {
    const Record& record = cell.record;
    EXPECT_EQ(record.outcome, Outcome::ok) << record.reason;
    EXPECT_EQ(record.bytes.used_peak, record.bytes.predicted_peak);
    if (record.axes.at("precision") != "bf16") continue;
    EXPECT_EQ(record.bytes.host.has_value(), record.axes.contains("offload"));
    if (record.bytes.host) {
      ++offloaded;
      EXPECT_EQ(record.bytes.host->used, record.bytes.host->state + record.bytes.host->arena);
      EXPECT_GT(record.bytes.host->state, 0);
    }
    for (const Visit& visit : cell.visits)
      if (visit.kind == VisitKind::timed)
        for (const GradientSummary& gradient : visit.numerics.gradients)
          hashes[record.bytes.host ? 1 : 0].push_back(gradient.hash);
  }
  EXPECT_EQ(offloaded, 1);
  EXPECT_FALSE(hashes[0].empty());
  EXPECT_EQ(hashes[0], hashes[1]);
}

}  // namespace
}  // namespace stepscope
