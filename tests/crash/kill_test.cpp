// kill -9 at random moments: a resumed run has the records of one never disturbed, a resumed training the same bits.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <random>
#include <set>
#include <sstream>
#include <thread>

#include "model/base/file.h"
#include "reports/run_folder.h"
#include "tests/support/program_run.h"
#include "tests/support/temporary_folder.h"

namespace stepscope {
namespace {

namespace fs = std::filesystem;

class Kill : public TemporaryFolder {
 protected:
  std::vector<std::string> run_arguments(const std::string& out) {
    std::ofstream(folder / "m.toml")
        << "[model]\npreset = \"tiny\"\n[matrix]\nprecision = [\"fp32\", \"bf16\"]\ncheckpointing = [\"none\", "
           "\"TransformerBlock\"]\n"
           "[measure]\nrounds = 2\nwarmup_steps = 1\ntimed_steps = 4\nprofiled_steps = 1\nlearning_steps = 20\n";
    return {"run", (folder / "m.toml").string(), "--out", (folder / out).string(), "--threads", "2"};
  }

  static void sleep_ms(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

  // The child that measures a cell; 0 where there is none at the moment.
  static pid_t worker_of(pid_t coordinator) {
    std::ifstream children(fmt::format("/proc/{0}/task/{0}/children", coordinator));
    for (pid_t child = 0; children >> child;)
      if (text_of(fmt::format("/proc/{}/cmdline", child)).find("worker") != std::string::npos) return child;
    return 0;
  }

  // Waits for one, however slowly a process starts; 0 where the run ended without another.
  static pid_t next_worker_of(pid_t coordinator) {
    for (int tries = 0; tries < 20'000 && !has_ended(coordinator); ++tries, sleep_ms(1))
      if (const pid_t worker = worker_of(coordinator); worker != 0) return worker;
    return 0;
  }

  static bool has_ended(pid_t process) {
    const std::string state = text_of(fmt::format("/proc/{}/stat", process));
    return state.empty() || state.find(") Z") != std::string::npos;
  }

  static std::string text_of(const fs::path& file) {
    std::ifstream stream(file, std::ios::binary);
    std::ostringstream text;
    text << stream.rdbuf();  // a process that ends while /proc is read is an empty text, not an exception
    return text.str();
  }
};

// What of a record does not depend on time.
std::string timeless(const Record& record) {
  auto json = to_json(record);
  for (const char* key :
       {"step_time_ns", "tokens_per_second", "profiler_overhead", "profiler_overhead_low", "profiler_overhead_high",
        "mfu", "hfu", "disturbed_visits", "failed_visits", "repeat", "reason"})
    json.erase(key);
  return json.dump();
}

std::map<std::string, std::string> timeless_records(const fs::path& run) {
  std::map<std::string, std::string> records;
  for (const Cell& cell : read_run(run).cells) records[cell.record.id] = timeless(cell.record);
  return records;
}

TEST_F(Kill, twenty_times_leaves_the_records_of_a_run_never_killed) {
  ASSERT_EQ(testing::run_program(run_arguments("whole")).status, 0);
  const auto expected = timeless_records(folder / "whole");
  const fs::path run = folder / "killed";
  const auto whole_again = [&] {
    ASSERT_EQ(testing::run_program(run_arguments("killed")).status, 0);
    EXPECT_EQ(timeless_records(run), expected);
    for (const auto& entry : fs::recursive_directory_iterator(run))
      EXPECT_FALSE(is_temporary(entry.path())) << entry.path();
  };
  std::mt19937 random(20);
  int killed = 0;
  for (int tries = 0; killed < 20 && tries < 200; ++tries) {
    const pid_t coordinator = testing::start_program(run_arguments("killed"), folder / "log");
    const bool of_a_worker = killed % 2 == 1;
    if (of_a_worker) next_worker_of(coordinator);
    sleep_ms(std::uniform_int_distribution(5, 400)(random));
    const pid_t victim = of_a_worker ? next_worker_of(coordinator) : coordinator;
    if (victim > 0 && kill(victim, SIGKILL) == 0) ++killed;
    if (victim != coordinator) {
      sleep_ms(20);
      kill(coordinator, SIGKILL);
    }
    testing::wait_for(coordinator);
    if (fs::exists(run))  // not killed before it made anything
      for (const auto& entry : fs::recursive_directory_iterator(run))  // never half a record
        if (entry.path().filename() == "record.json") {
          EXPECT_NO_THROW((void)read_record(entry.path()));
        }
    if (tries % 8 == 7) {  // by then it may be nearly done: another one is killed
      whole_again();
      fs::remove_all(run);
    }
  }
  EXPECT_EQ(killed, 20);
  whole_again();
}

TEST_F(Kill, a_killed_worker_is_a_result_and_measured_again_on_resume) {
  const pid_t coordinator = testing::start_program(run_arguments("run"), folder / "log");
  pid_t worker = 0;
  for (int i = 0; i < 2000 && worker == 0; ++i) {
    sleep_ms(1);
    worker = worker_of(coordinator);
  }
  ASSERT_GT(worker, 0);
  kill(worker, SIGKILL);
  ASSERT_EQ(testing::wait_for(coordinator), 0);
  EXPECT_NE(text_of(folder / "log").find("crashed: signal 9"), std::string::npos);
  ASSERT_EQ(testing::run_program(run_arguments("run")).status, 0);
  for (const Cell& cell : read_run(folder / "run").cells) {
    EXPECT_EQ(cell.record.outcome, Outcome::ok);
    EXPECT_EQ(cell.record.failed_visits, 0);
  }
}

TEST_F(Kill, ctrl_c_leaves_a_run_that_resumes) {
  const pid_t coordinator = testing::start_program(run_arguments("run"), folder / "log");
  sleep_ms(300);
  kill(coordinator, SIGINT);
  EXPECT_EQ(testing::wait_for(coordinator), 130);
  EXPECT_NE(text_of(folder / "log").find("go on with: stepscope run"), std::string::npos);
  EXPECT_EQ(testing::run_program(run_arguments("run")).status, 0);
}

TEST_F(Kill, training_goes_on_to_the_same_bits) {
  const auto arguments = [&](const std::string& out) {
    return std::vector<std::string>{
        "train",     "--preset", "tiny", "--steps", "120", "--save-every", "7", "--out", (folder / out).string(),
        "--threads", "2"};
  };
  ASSERT_EQ(testing::run_program(arguments("whole")).status, 0);
  std::mt19937 random(3);
  for (int moment = 0; moment < 8; ++moment) {
    const pid_t training = testing::start_program(arguments("killed"), folder / "log");
    sleep_ms(std::uniform_int_distribution(20, 200)(random));
    kill(training, SIGKILL);
    testing::wait_for(training);
  }
  ASSERT_EQ(testing::run_program(arguments("killed")).status, 0);
  EXPECT_EQ(text_of(folder / "killed" / "loss.csv"), text_of(folder / "whole" / "loss.csv"));
  EXPECT_EQ(text_of(folder / "killed" / "state.safetensors"), text_of(folder / "whole" / "state.safetensors"));
  for (const auto& entry : fs::directory_iterator(folder / "killed"))
    EXPECT_FALSE(is_temporary(entry.path())) << entry.path();
}

TEST_F(Kill, training_goes_on_to_the_same_bits_with_another_number_of_threads) {
  const auto train = [&](const std::string& out, const std::string& threads) {
    return std::vector<std::string>{
        "train",     "--preset", "tiny", "--steps", "60", "--save-every", "10", "--out", (folder / out).string(),
        "--threads", threads};
  };
  ASSERT_EQ(testing::run_program(train("whole", "1")).status, 0);
  const pid_t training = testing::start_program(train("moved", "2"), folder / "log");
  sleep_ms(150);
  kill(training, SIGKILL);
  testing::wait_for(training);
  ASSERT_EQ(testing::run_program(train("moved", "1")).status, 0);
  EXPECT_EQ(text_of(folder / "moved" / "state.safetensors"), text_of(folder / "whole" / "state.safetensors"));
}

}  // namespace
}  // namespace stepscope
