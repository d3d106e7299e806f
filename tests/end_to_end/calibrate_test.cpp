// A machine is calibrated, a run uses it, and no operation of a real step is faster than its floor.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "harness/calibrate.h"
#include "harness/kept_times.h"
#include "model/cpu/machine.h"
#include "reports/floor.h"
#include "tests/support/program_run.h"
#include "tests/support/programs.h"
#include "tests/support/temporary_folder.h"

namespace stepscope {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

class CalibrateTest : public TemporaryFolder {
 protected:
  CalibrateTest() { setenv("XDG_CACHE_HOME", (folder / "cache").c_str(), 1); }
  ~CalibrateTest() override { unsetenv("XDG_CACHE_HOME"); }

  testing::ProgramRun run(const std::vector<std::string>& more = {}) {
    std::ofstream(folder / "m.toml") << R"([model]
preset = "seed-small"
[training]
global_batch = 4
[matrix]
precision = ["fp32", "bf16"]
[measure]
rounds = 1
warmup_steps = 1
timed_steps = 2
profiled_steps = 3
learning_steps = 0
)";
    std::vector<std::string> words{"run", (folder / "m.toml").string(), "--out", (folder / "run").string(), "--threads",
                                   "2"};
    words.insert(words.end(), more.begin(), more.end());
    return testing::run_program(words);
  }
};

TEST_F(CalibrateTest, a_run_takes_it_along_and_no_operation_beats_its_floor) {
  const testing::ProgramRun calibrated = testing::run_program({"devices", "--calibrate", "--threads", "2", "--json"});
  ASSERT_EQ(calibrated.status, 0) << calibrated.error;
  const Json said = Json::parse(calibrated.out).at("calibration");
  EXPECT_GT(said.at("fp32_flops_per_second"), 1e9);
  EXPECT_GE(said.at("cache_bytes_per_second"), said.at("memory_bytes_per_second"));
  ASSERT_TRUE(fs::exists(said.at("file").get<std::string>()));
  ASSERT_EQ(run().status, 0);
  const MeasuredRun measured = read_run(folder / "run");
  ASSERT_TRUE(measured.calibration);
  EXPECT_EQ(measured.environment.at("calibration").at("fp32_flops_per_second"), said.at("fp32_flops_per_second"));
  const Card ceilings = card_of(*measured.calibration);
  for (const Cell& cell : measured.cells) {
    const Record& r = cell.record;
    const double peak = peak_named(ceilings, r.axes.at("precision").get<std::string>());
    ASSERT_EQ(r.peak.flops_per_second, peak);
    ASSERT_TRUE(r.mfu && r.hfu);
    EXPECT_NEAR(*r.mfu, static_cast<double>(r.flops.model) / (r.step_time_ns->median * 1e-9) / peak, 1e-12);
    EXPECT_LT(*r.hfu, 1);
    ASSERT_TRUE(r.predicted_time);
    EXPECT_GT(r.predicted_time->step_ns, 0);
    EXPECT_THAT(r.predicted_time->source, HasSubstr("1 other cell"));
    const std::optional<StepFloor> floor = floor_of(cell, ceilings);
    ASSERT_TRUE(floor);
    EXPECT_LT(floor->floor_ns, floor->step_ns);
    const std::vector<FloorRow> beaten = exceeds(*floor, 0.1);
    if (!beaten.empty() && was_busy(*measured.calibration)) GTEST_SKIP() << "calibrated while the machine was busy";
    for (const FloorRow& row : beaten)
      ADD_FAILURE() << r.id << ": " << row.phase << " " << row.site << " " << row.operation << " took " << row.time_ns
                    << " ns, its floor is " << row.floor_ns << " ns";
  }
}

TEST_F(CalibrateTest, plans_are_timed_by_what_runs_measured_here) {
  const Machine machine = this_cpu(2);
  const Program tiny = testing::step_of({});
  TimeModelFile kept{.key = calibration_key(machine), .sources = {{.run = "earlier", .commit = "0123456789abcdef"}}};
  kept.model.ceilings = {.name = machine.name, .fp32_flops = 1e11, .bf16_flops = 1e11, .bandwidth = 1e10};
  kept.model.between_ns = 5'000'000;
  for (const TimedWork& row : counted_work(tiny))
    kept.model.operations.push_back(
        {.work = row.work, .time_ns = 1e6, .floor_ns = floor_ns(kept.model.ceilings, row.work), .runs = row.count});
  const auto plan = [](const std::vector<std::string>& more) {
    std::vector<std::string> words{"plan", "--preset", "tiny", "--threads", "2"};
    words.insert(words.end(), more.begin(), more.end());
    return testing::run_program(words);
  };
  EXPECT_TRUE(Json::parse(plan({"--json"}).out).at("predicted_time").is_null());
  ASSERT_EQ(keep_times(machine, kept), "");
  const Json predicted = Json::parse(plan({"--json"}).out).at("predicted_time");
  EXPECT_GT(predicted.at("step_ns"), 5e6);
  EXPECT_THAT(predicted.at("source").get<std::string>(), HasSubstr("run earlier (commit 0123456789ab"));
  EXPECT_THAT(plan({}).out, HasSubstr("run earlier"));
  const testing::ProgramRun priced = plan({"--prices"});
  EXPECT_EQ(priced.status, 0) << priced.error;
  EXPECT_THAT(priced.out, HasSubstr("run earlier"));
  const testing::ProgramRun on_card = plan({"--card", "h100-sxm"});
  EXPECT_THAT(on_card.out, HasSubstr("roofline of h100-sxm"));
  EXPECT_THAT(on_card.out, ::testing::Not(HasSubstr("run earlier")));
  std::ofstream(kept_times_file(machine)) << "{";
  const testing::ProgramRun spoiled = plan({"--json"});
  EXPECT_EQ(spoiled.status, 0);
  EXPECT_TRUE(Json::parse(spoiled.out).at("predicted_time").is_null());
  EXPECT_THAT(spoiled.error, HasSubstr("is ignored"));
  EXPECT_EQ(std::count(spoiled.error.begin(), spoiled.error.end(), '\n'), 1) << spoiled.error;
  kept.key.onednn = "0.0.1";
  write_time_model(kept_times_file(machine), kept);
  EXPECT_THAT(plan({"--json"}).error, HasSubstr("0.0.1"));
}

TEST_F(CalibrateTest, a_run_without_one_says_so_and_is_a_run_all_the_same) {
  const testing::ProgramRun said = run();
  ASSERT_EQ(said.status, 0) << said.error;
  EXPECT_THAT(said.out, HasSubstr("not calibrated"));
  const MeasuredRun measured = read_run(folder / "run");
  EXPECT_FALSE(measured.calibration);
  for (const Cell& cell : measured.cells) {
    EXPECT_FALSE(cell.record.mfu || cell.record.hfu);
    EXPECT_THAT(cell.record.peak.source, HasSubstr("--calibrate"));
  }
}

TEST_F(CalibrateTest, another_machines_is_ignored_and_said) {
  const Machine machine = this_cpu(2);
  Calibration other{.key = calibration_key(machine)};
  other.key.onednn = "0.0.1";
  other.matmuls = {{"fp32", "forward", 1, 1, 1, rate_of({1e9})}};
  other.bandwidths = {{1, "read", rate_of({1e9})}};
  keep_calibration(machine, other);
  const KeptCalibration kept = kept_calibration(machine);
  EXPECT_FALSE(kept.calibration);
  EXPECT_THAT(kept.note, ::testing::AllOf(HasSubstr("0.0.1"), HasSubstr("is ignored")));
  EXPECT_THAT(testing::run_program({"devices", "--threads", "2"}).out, HasSubstr("0.0.1"));
  std::ofstream(calibration_file(machine)) << "{";
  EXPECT_THAT(kept_calibration(machine).note, HasSubstr("is ignored"));
}

TEST_F(CalibrateTest, nowhere_to_keep_it_is_one_line) {
  std::ofstream(folder / "file") << "x";
  setenv("XDG_CACHE_HOME", (folder / "file").c_str(), 1);
  Calibration any{.key = calibration_key(this_cpu(1))};
  EXPECT_THROW(keep_calibration(this_cpu(1), any), std::runtime_error);
}

TEST(PlanOnACard, time_and_margin_follow_from_the_card) {
  const auto planned = [](const std::vector<std::string>& more) {
    std::vector<std::string> words{"plan", "--preset", "seed", "--json", "--card"};
    words.insert(words.end(), more.begin(), more.end());
    const testing::ProgramRun run = testing::run_program(words);
    EXPECT_EQ(run.status, 0) << run.error;
    return Json::parse(run.out);
  };
  const Json h100 = planned({"h100-sxm"}), h200 = planned({"h200"}), l4 = planned({"l4"});
  EXPECT_EQ(h100.at("predicted_time").at("card"), "h100-sxm");
  EXPECT_EQ(h100.at("predicted_time").at("source"), "roofline of h100-sxm");
  EXPECT_LE(h200.at("predicted_time").at("step_ns"), h100.at("predicted_time").at("step_ns"));
  EXPECT_LT(h100.at("predicted_time").at("step_ns"), l4.at("predicted_time").at("step_ns"));
  const double least = h100.at("flops").at("launched").get<double>() / 66.9e12 * 1e9;  // arithmetic alone, in fp32
  EXPECT_GE(h100.at("predicted_time").at("step_ns"), least);
  EXPECT_EQ(h100.at("outcome"), "planned");
  EXPECT_EQ(l4.at("outcome"), "does-not-fit");
  EXPECT_EQ(h100.at("bytes"), l4.at("bytes"));
  EXPECT_EQ(planned({"h100-sxm", "--budget", "1GiB"}).at("outcome"), "does-not-fit");
  EXPECT_THAT(testing::run_program({"plan", "--preset", "seed", "--card", "l4"}).out,
              ::testing::AllOf(HasSubstr("roofline of l4"), HasSubstr("short")));
}

}  // namespace
}  // namespace stepscope
