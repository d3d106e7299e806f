// Runs made in parts, stopped before they really began, or met by another process: one folder, one truth.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "harness/matrix.h"
#include "model/base/file.h"
#include "reports/run_folder.h"
#include "tests/support/program_run.h"
#include "tests/support/temporary_folder.h"

namespace stepscope {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class EndToEndParts : public TemporaryFolder {
 protected:
  void SetUp() override { write_matrix(2); }
  void write_matrix(int rounds) {
    std::ofstream(folder / "m.toml") << "[model]\npreset = \"tiny\"\n[matrix]\nprecision = [\"fp32\", \"bf16\"]\n"
                                        "accumulation = [1, 2]\n[measure]\nrounds = "
                                     << rounds << "\nwarmup_steps = 0\ntimed_steps = 2\nprofiled_steps = 1\n"
                                     << "learning_steps = 4\n";
  }
  std::vector<std::string> arguments(std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"run", (folder / "m.toml").string(), "--out", out().string(), "--threads", "1"});
    return more;
  }
  testing::ProgramRun run(std::vector<std::string> more = {}) { return testing::run_program(arguments(more)); }
  fs::path out() const { return folder / "run"; }
  std::vector<std::string> ids() {
    std::vector<std::string> list;
    for (const MatrixCell& cell : read_matrix((folder / "m.toml").string(), {}).cells) list.push_back(cell.id);
    return list;
  }
};

TEST_F(EndToEndParts, parts_and_the_whole_go_into_one_folder_in_the_order_of_the_matrix) {
  const std::vector<std::string> order = ids();
  ASSERT_EQ(order.size(), 4U);
  ASSERT_EQ(run({"--only", order[3]}).status, 0);
  ASSERT_EQ(run({"--only", order[1]}).status, 0);
  const auto ids_there = [&] {
    std::vector<std::string> there;
    for (const Cell& cell : read_run(out()).cells) there.push_back(cell.record.id);
    return there;
  };
  EXPECT_EQ(ids_there(), (std::vector<std::string>{order[0], order[1], order[3]}));  // the first is their reference
  const fs::file_time_type before = fs::last_write_time(out() / "cells" / order[3] / "visit-1.json");
  ASSERT_EQ(run().status, 0);
  EXPECT_EQ(ids_there(), order);
  EXPECT_EQ(fs::last_write_time(out() / "cells" / order[3] / "visit-1.json"), before);
}

TEST_F(EndToEndParts, more_rounds_are_more_visits_of_the_same_run) {
  ASSERT_EQ(run({"--fast"}).status, 0);
  write_matrix(3);
  ASSERT_EQ(run().status, 0);
  for (const Cell& cell : read_run(out()).cells) EXPECT_EQ(cell.record.step_time_ns->visits, 3) << cell.record.id;
}

TEST_F(EndToEndParts, one_round_says_that_drift_is_not_controlled) {
  EXPECT_THAT(run({"--fast", "--only", ids()[0]}).out, HasSubstr("drift"));
}

TEST_F(EndToEndParts, tables_of_a_cell_agree_with_its_visits) {
  ASSERT_EQ(run({"--fast"}).status, 0);
  const MeasuredRun there = read_run(out());
  const auto lines = [&](const Cell& cell, const char* file) {
    const std::string text = read_file(out() / "cells" / cell.record.id / file);
    return std::count(text.begin(), text.end(), '\n') - 1;
  };
  for (const Cell& cell : there.cells)
    for (const Visit& visit : cell.visits) {
      if (visit.kind == VisitKind::learning) {
        EXPECT_EQ(lines(cell, "loss.csv"), 4);
      }
      if (visit.kind != VisitKind::profiled) continue;
      EXPECT_EQ(lines(cell, "operations.csv"), std::ssize(visit.spans));
      EXPECT_EQ(lines(cell, "memory.csv"), std::ssize(visit.memory->live_bytes));
    }
}

TEST_F(EndToEndParts, a_run_killed_before_its_first_file_was_whole_begins_anew) {
  fs::create_directories(out());
  std::ofstream(out() / "environment.json.tmp-17") << "{";
  ASSERT_EQ(run({"--fast"}).status, 0);
  EXPECT_FALSE(fs::exists(out() / "environment.json.tmp-17"));
}

TEST_F(EndToEndParts, two_processes_do_not_write_one_folder) {
  const std::vector<std::string> long_run = arguments({"--set", "timed_steps=100000"});
  const auto sleep_ms = [](int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); };
  const pid_t first = testing::start_program(long_run, folder / "log");
  for (int i = 0; i < 500 && !fs::exists(out() / "run.log"); ++i) sleep_ms(10);
  const pid_t second = testing::start_program(long_run, folder / "said");
  for (int i = 0; i < 100 && (!fs::exists(folder / "said") || fs::is_empty(folder / "said")); ++i) sleep_ms(50);
  sleep_ms(100);
  kill(second, SIGKILL);  // nobody is there any more, unless it works beside the first
  kill(first, SIGKILL);
  EXPECT_EQ(testing::wait_for(second), 2);
  testing::wait_for(first);
  EXPECT_THAT(read_file(folder / "said"), HasSubstr("another process"));
}

TEST_F(EndToEndParts, a_text_with_other_bytes_is_refused_and_the_same_one_elsewhere_taken) {
  const auto run_on = [&](const fs::path& text) { return run({"--fast", "--data", "text:" + text.string()}); };
  std::ofstream(folder / "t.txt") << std::string(20'000, 'x');
  ASSERT_EQ(run_on(folder / "t.txt").status, 0);
  fs::create_directories(folder / "elsewhere");
  fs::rename(folder / "t.txt", folder / "elsewhere" / "t.txt");
  EXPECT_EQ(run_on(folder / "elsewhere" / "t.txt").status, 0);
  std::ofstream(folder / "t.txt") << std::string(20'000, 'y');
  const testing::ProgramRun said = run_on(folder / "t.txt");
  EXPECT_EQ(said.status, 2);
  EXPECT_THAT(said.error, HasSubstr("holds a run of another text, vocabulary or mask"));
}

TEST_F(EndToEndParts, lost_numerics_are_made_again) {
  ASSERT_EQ(run({"--fast", "--only", ids()[1]}).status, 0);
  const fs::path numerics = out() / "cells" / ids()[1] / "numerics.safetensors";
  const std::string before = read_file(numerics);
  fs::remove(numerics);
  ASSERT_EQ(run({"--fast", "--only", ids()[1]}).status, 0);
  EXPECT_EQ(read_file(numerics), before);
}

TEST_F(EndToEndParts, a_folder_may_begin_with_a_dash) {
  const fs::path here = fs::current_path();
  fs::current_path(folder);
  EXPECT_EQ(testing::run_program({"run", "m.toml", "--fast", "--only", ids()[0], "--out=-r"}).status, 0);
  fs::current_path(here);
  EXPECT_TRUE(fs::exists(folder / "-r" / "environment.json"));
}

TEST_F(EndToEndParts, a_report_needs_the_environment_and_its_schema) {
  ASSERT_EQ(run({"--fast", "--only", ids()[0]}).status, 0);
  const fs::path file = out() / "environment.json";
  const auto refused = [&] {
    const testing::ProgramRun said = testing::run_program({"report", out().string()});
    EXPECT_EQ(said.status, 2);
    EXPECT_THAT(said.error, HasSubstr(file.string()));
    return said.error;
  };
  write_atomically(file, "{\"schema\": \"stepscope.environment/0\"}");
  EXPECT_THAT(refused(), HasSubstr("stepscope.environment/1"));
  fs::remove(file);
  EXPECT_THAT(refused(), HasSubstr("stepscope.environment/1"));
  fs::create_directories(file);
  EXPECT_THAT(refused(), HasSubstr("is a folder"));
}

TEST_F(EndToEndParts, a_text_that_is_taken_away_stops_the_run_with_its_name) {
  std::ofstream(folder / "t.txt") << std::string(20'000, 'x');
  std::vector<std::string> words = arguments({"--set", "timed_steps=100", "--data"});
  words.push_back("text:" + (folder / "t.txt").string());
  const pid_t process = testing::start_program(words, folder / "log");
  const auto worker_ready = [&] {  // its session stands: the data was read
    for (const auto& entry : fs::recursive_directory_iterator(out()))
      if (entry.path().filename() == "numerics.safetensors") return true;
    return false;
  };
  while (!fs::exists(out() / "run.log") || !worker_ready()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  fs::remove(folder / "t.txt");
  EXPECT_EQ(testing::wait_for(process), 2);
  EXPECT_THAT(read_file(folder / "log"), HasSubstr("t.txt"));
}

}  // namespace
}  // namespace stepscope
