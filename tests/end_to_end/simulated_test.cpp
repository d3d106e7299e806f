// Runs on a simulated card, as on a real one: coordinator, workers, graphs, reports; small presets computed, published models costed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "model/base/file.h"
#include "reports/report.h"
#include "reports/run_folder.h"
#include "tests/support/build_folder.h"
#include "tests/support/program_run.h"
#include "tests/support/temporary_folder.h"

namespace stepscope {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

class Simulated : public TemporaryFolder {
 protected:
  void SetUp() override {
    if (!fs::exists(program)) GTEST_SKIP() << "no host SIMT, so no simulated card";
  }

  std::string path(const std::string& name) const { return (folder / name).string(); }
  testing::ProgramRun simulated(const std::vector<std::string>& arguments) const {
    return testing::run_executable(program, arguments);
  }
  // A model as small as can be: every thread of its kernels is a fiber.
  void write_small_matrix() const {
    std::ofstream(path("m.toml")) << R"([model]
preset = "tiny"
layers = 1
[training]
global_batch = 2
sequence = 8
[matrix]
precision = ["fp32", "bf16"]
launch    = ["graph", "eager"]
[measure]
rounds         = 2
warmup_steps   = 0
timed_steps    = 1
profiled_steps = 1
)";
  }
  std::vector<std::string> small_run(const std::string& out) const {
    return {"run", path("m.toml"), "--out", path(out), "--device", "simulated:h100-sxm"};
  }
  MeasuredRun costed(const std::string& what, const std::vector<std::string>& more,
                     const std::string& card = "h100-sxm") {
    std::vector<std::string> words{"run", "--out", path(what), "--device", "simulated:" + card + ",costed"};
    words.insert(words.end(), more.begin(), more.end());
    const testing::ProgramRun said = simulated(words);
    EXPECT_EQ(said.status, 0) << said.error << said.out;
    return read_run(folder / what);
  }

  const std::string program = build_folder() + "/stepscope_simulated";
};

void expect_costed(const Record& r) {
  EXPECT_EQ(r.outcome, Outcome::ok) << r.id << r.reason;
  EXPECT_EQ(r.device.kind, "simulated");
  EXPECT_THAT(r.device.name, HasSubstr("only costed"));
  EXPECT_EQ(r.bytes.used_peak, r.bytes.predicted_peak) << r.id;
  EXPECT_TRUE(r.step_time_ns) << r.id;
  EXPECT_FALSE(r.numerics.loss || r.numerics.gradient_error);
  EXPECT_THAT(r.numerics.not_computed.value_or(""), HasSubstr("nothing was computed"));
  EXPECT_FALSE(verified(r));
}

TEST(OrdinaryProgram, simulates_no_card_and_says_so_in_a_line) {
  const testing::ProgramRun said = testing::run_program({"step", "--preset", "tiny", "--device", "simulated:h100-sxm"});
  EXPECT_EQ(said.status, 2);
  EXPECT_THAT(said.error, AllOf(HasSubstr("--device simulated:h100-sxm: "), HasSubstr("stepscope_simulated")));
  EXPECT_EQ(std::count(said.error.begin(), said.error.end(), '\n'), 1);
}

TEST_F(Simulated, without_a_simulated_card_the_program_has_none) {
  const testing::ProgramRun said = simulated({"step", "--preset", "tiny", "--device", "cuda"});
  EXPECT_EQ(said.status, 2);
  EXPECT_THAT(said.error, HasSubstr("--device cuda: no NVIDIA driver is here"));
}

TEST_F(Simulated, wrong_names_of_cards_are_a_line) {
  for (const auto& [device, why] : {std::pair{"simulated:h100-smx", "h100-sxm"}, {"simulated:", "simulated:CARD"}}) {
    const testing::ProgramRun said = simulated({"step", "--preset", "tiny", "--device", device});
    EXPECT_EQ(said.status, 2) << device;
    EXPECT_THAT(said.error, HasSubstr(why));
  }
  const testing::ProgramRun saved =
      simulated({"step", "--preset", "tiny", "--device", "simulated:l4,costed", "--save", path("x.safetensors")});
  EXPECT_EQ(saved.status, 2);
  EXPECT_THAT(saved.error, HasSubstr("nothing is computed"));
}

TEST_F(Simulated, a_small_matrix_is_computed_verified_and_timed_by_the_cards_clock) {
  write_small_matrix();
  const testing::ProgramRun said = simulated(small_run("run"));
  ASSERT_EQ(said.status, 0) << said.error << said.out;
  EXPECT_THAT(said.out, AllOf(HasSubstr("cells: 4 ok"), HasSubstr("Simulated, no hardware ran this: ")));
  const MeasuredRun run = read_run(folder / "run");
  std::map<std::string, double> time;
  for (const Cell& cell : run.cells) {
    const Record& r = cell.record;
    EXPECT_TRUE(verified(r)) << r.id << r.reason;
    EXPECT_EQ(r.device.kind, "simulated");
    EXPECT_EQ(r.bytes.used_peak, r.bytes.predicted_peak) << r.id;
    ASSERT_TRUE(r.step_time_ns && r.step_time_ns->low && r.step_time_ns->high) << r.id;
    EXPECT_NEAR(*r.step_time_ns->high / *r.step_time_ns->low, 1, 1e-9) << r.id;  // exact: every visit the same
    EXPECT_EQ(r.disturbed_visits, 0);
    const std::string launch = r.id.find("launch-eager") != std::string::npos ? "eager" : "graph";
    time[r.axes["precision"].get<std::string>() + " " + launch] = r.step_time_ns->median;
    const auto launches = static_cast<double>(cell.visits.front().spans.size());
    if (launch == "eager") {
      EXPECT_GT(r.step_time_ns->median, 4000 * launches);
    }
  }
  EXPECT_LT(2 * time["bf16 graph"], time["bf16 eager"]);
  EXPECT_LT(2 * time["fp32 graph"], time["fp32 eager"]);
}

TEST_F(Simulated, a_run_killed_with_9_goes_on_to_the_same_records) {
  if (std::getenv("STEPSCOPE_FULL") == nullptr) GTEST_SKIP() << "runs a matrix twice: with STEPSCOPE_FULL";
  write_small_matrix();
  ASSERT_EQ(simulated(small_run("whole")).status, 0);
  std::vector<std::string> words = small_run("killed");
  const pid_t process = testing::start_executable(program, words, folder / "log");
  while (!fs::exists(folder / "killed" / "cells") ||
         std::ranges::none_of(fs::recursive_directory_iterator(folder / "killed" / "cells"),
                              [](const fs::directory_entry& e) { return e.path().filename() == "visit-1.json"; }))
    usleep(5'000);
  kill(-process, SIGKILL);
  EXPECT_EQ(testing::wait_for(process), 128 + SIGKILL);
  const testing::ProgramRun again = simulated(words);
  ASSERT_EQ(again.status, 0) << again.error;
  const MeasuredRun whole = read_run(folder / "whole"), resumed = read_run(folder / "killed");
  ASSERT_EQ(resumed.cells.size(), whole.cells.size());
  for (std::size_t i = 0; i < whole.cells.size(); ++i) {
    nlohmann::ordered_json a = to_json(whole.cells[i].record), b = to_json(resumed.cells[i].record);
    for (nlohmann::ordered_json* record : {&a, &b}) record->erase("repeat");  // names the folder
    EXPECT_EQ(a, b) << whole.cells[i].record.id;
  }
}

TEST_F(Simulated, the_tutorials_rows_are_costed_and_reported_as_nothing_that_was_measured) {
  const MeasuredRun run =
      costed("seed", {STEPSCOPE_SOURCE_DIR "/harness/matrices/seed.toml", "--fast", "--set", "timed_steps=1"});
  int costed_cells = 0;
  for (const Cell& cell : run.cells) {
    if (cell.record.outcome == Outcome::does_not_fit) {  // the plain reference of the batch of 256 alone
      EXPECT_THAT(cell.record.id, HasSubstr("fp32-none-x1-attention-materialised-global_batch-256"));
      continue;
    }
    expect_costed(cell.record);
    ++costed_cells;
  }
  EXPECT_EQ(costed_cells, 7);  // the six rows, and the reference of five of them
  EXPECT_EQ(run.environment["device_kind"], "simulated");
  EXPECT_THAT(run.environment["times"].get<std::string>(), HasSubstr("roofline of h100-sxm"));
  (void)write_report(folder / "seed");
  const std::string text = read_file(folder / "seed" / "report" / "report.md");
  EXPECT_THAT(text, AllOf(HasSubstr("# stepscope: seed (simulated)"),
                          HasSubstr("**Simulated device: no time in this report was measured on hardware.**"),
                          HasSubstr("**Simulated, no hardware ran this: "), HasSubstr("costed, not computed")));
  EXPECT_THAT(read_file(folder / "seed" / "report" / "cells.csv"), HasSubstr(",simulated,"));
}

TEST_F(Simulated, a_page_and_each_of_its_figures_say_that_they_are) {
  if (std::getenv("STEPSCOPE_FULL") == nullptr) GTEST_SKIP() << "draws all figures: with STEPSCOPE_FULL";
  (void)costed("seed", {STEPSCOPE_SOURCE_DIR "/harness/matrices/seed.toml", "--fast", "--set", "timed_steps=1"});
  ASSERT_EQ(simulated({"report", path("seed")}).status, 0);
  if (!fs::exists(folder / "seed" / "report" / "index.html")) GTEST_SKIP() << "no Python with matplotlib and jinja2";
  EXPECT_THAT(read_file(folder / "seed" / "report" / "index.html"), HasSubstr("<div class=\"simulated\">"));
  int figures = 0;
  for (const fs::directory_entry& file : fs::directory_iterator(folder / "seed" / "report" / "figures")) {
    if (file.path().extension() != ".svg") continue;
    ++figures;
    EXPECT_THAT(read_file(file.path()), HasSubstr("SIMULATED")) << file.path();
  }
  EXPECT_GT(figures, 3);
}

TEST_F(Simulated, published_models_are_costed_in_seconds) {
  std::vector<std::string> presets{"gpt2-124m"};
  if (std::getenv("STEPSCOPE_FULL") != nullptr) presets.insert(presets.end(), {"gpt2-1558m", "qwen2.5-1.5b"});
  for (const std::string& preset : presets) {
    const MeasuredRun run = costed(preset, {"--preset", preset, "--set", "precision=bf16", "--fast"});
    const Cell* cell = nullptr;  // beside its reference
    for (const Cell& one : run.cells)
      if (one.record.axes["precision"] == "bf16") cell = &one;
    ASSERT_NE(cell, nullptr);
    expect_costed(cell->record);
  }
}

TEST_F(Simulated, what_the_card_has_no_room_for_is_an_outcome_with_its_bytes) {
  const MeasuredRun run = costed("large", {"--preset", "gpt2-1558m", "--fast"}, "l4");
  EXPECT_TRUE(run.cells.front().record.outcome == Outcome::does_not_fit ||
              run.cells.front().record.outcome == Outcome::out_of_memory);
  EXPECT_FALSE(run.cells.front().record.step_time_ns);
}

TEST_F(Simulated, simulated_and_measured_runs_are_neither_compared_nor_merged) {
  const std::vector<std::string> tiny{"--preset",      "tiny",  "--fast",          "--set",
                                      "timed_steps=1", "--set", "profiled_steps=0"};
  (void)costed("a", tiny);
  std::vector<std::string> words{"run", "--out", path("b"), "--threads", "1"};
  words.insert(words.end(), tiny.begin(), tiny.end());
  ASSERT_EQ(simulated(words).status, 0);
  const testing::ProgramRun compared = simulated({"compare", path("a"), path("b")});
  EXPECT_EQ(compared.status, 2);
  EXPECT_THAT(compared.error, HasSubstr("a was simulated and b measured"));
  const testing::ProgramRun merged = simulated({"merge", path("a"), path("b"), "--out", path("c")});
  EXPECT_EQ(merged.status, 2);
  EXPECT_THAT(merged.error, HasSubstr("different kinds of device"));
}

}  // namespace
}  // namespace stepscope
