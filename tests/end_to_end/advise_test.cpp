// advise as a person calls it: an answer with its price, what would change it, and the same measured.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "harness/calibrate.h"
#include "model/cpu/machine.h"
#include "tests/support/program_run.h"
#include "tests/support/temporary_folder.h"

namespace stepscope {
namespace {

using Json = nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

testing::ProgramRun advise(std::vector<std::string> words) {
  words.insert(words.begin(), "advise");
  return testing::run_program(words);
}

Json advised(std::vector<std::string> words) {
  words.emplace_back("--json");
  const testing::ProgramRun run = advise(words);
  EXPECT_EQ(run.status, 0) << run.error;
  return Json::parse(run.out);
}

TEST(Advise, the_answer_is_a_plan_that_fits) {
  const Json said = advised({"--preset", "gpt2-124m", "--card", "rtx-4090", "--budget", "5GiB"});
  const Json& answer = said.at("answer");
  std::vector<std::string> words{"plan", "--preset", "gpt2-124m", "--card", "rtx-4090", "--budget", "5GiB", "--json"};
  for (const std::string set : answer.at("sets")) words.insert(words.end(), {"--set", set});
  const Json planned = Json::parse(testing::run_program(words).out);
  EXPECT_EQ(planned.at("fit").at("margin_bytes"), answer.at("margin_bytes"));
  EXPECT_EQ(planned.at("predicted_time").at("step_ns"), answer.at("predicted_step_ns"));
  EXPECT_GE(answer.at("margin_bytes"), 0);
  EXPECT_EQ(said.at("runners_up").size(), 3U);
  const double fastest = answer.at("predicted_step_ns");
  for (const Json& other : said.at("runners_up")) EXPECT_GE(other.at("predicted_step_ns"), fastest / 1.02);
  EXPECT_EQ(said.at("fit").at("memory").at("bytes"), std::int64_t{5} << 30);
  for (const Json& part : said.at("fit").at("beside")) EXPECT_NE(part.at("source"), "");
  EXPECT_EQ(said.at("changes").at(0).at("what"), "4 GiB more");
  EXPECT_LE(said.at("changes").at(0).at("answer").at("predicted_step_ns"), answer.at("predicted_step_ns"));
}

TEST(Advise, nothing_fits_is_an_answer_too) {
  const testing::ProgramRun run = advise({"--preset", "qwen2.5-0.5b", "--card", "rtx-4090", "--budget", "8GB"});
  EXPECT_EQ(run.status, 0) << run.error;
  EXPECT_THAT(run.out, AllOf(HasSubstr("Nothing fits"), HasSubstr("7.362 GiB"), HasSubstr("4 GiB more: bf16"),
                             HasSubstr("gradient_precision = bf16")));
}

TEST(Advise, a_screen_of_100_columns_is_enough) {
  std::istringstream lines(advise({"--preset", "seed-small", "--card", "l4", "--budget", "1.1GiB"}).out);
  for (std::string line; std::getline(lines, line);)
    EXPECT_TRUE(line.size() <= 100 || line.starts_with("try it")) << line;
}

// Two batch sizes are two questions, each with a command that shows its own answer.
TEST(Advise, models_of_one_file_are_answered_one_by_one) {
  const testing::ProgramRun run = advise({"harness/matrices/seed.toml", "--card", "l4", "--set", "layers=1"});
  EXPECT_THAT(run.out, AllOf(HasSubstr("global_batch=64:\n"), HasSubstr("\nglobal_batch=256:\n"),
                             HasSubstr("--set global_batch=64 --set precision="), HasSubstr("attention = fused")));
}

TEST(Advise, where_nothing_fits_the_smallest_card_that_would_do_is_named) {
  EXPECT_THAT(advise({"--preset", "llama-3.1-8b", "--set", "layers=8", "--card", "l4"}).out,
              AllOf(HasSubstr("which needs "), HasSubstr("the smallest card known that it fits: ")));
}

class AdviseHere : public TemporaryFolder {
 protected:
  AdviseHere() { setenv("XDG_CACHE_HOME", (folder / "cache").c_str(), 1); }
  ~AdviseHere() override { unsetenv("XDG_CACHE_HOME"); }
  void calibrate() {
    const Rate compute{.best = 1e11, .median = 1e11, .worst = 1e11, .repeats = 1};
    const Rate memory{.best = 1e10, .median = 1e10, .worst = 1e10, .repeats = 1};
    Calibration any{.key = calibration_key(this_cpu(1)), .time = "2026-01-01T00:00:00Z", .seconds = 1};
    for (const char* type : {"fp32", "bf16", "fp16"})
      any.matmuls.push_back({.dtype = type, .how = "forward", .m = 64, .n = 64, .k = 64, .flops_per_second = compute});
    any.bandwidths.push_back({.bytes = 1 << 20, .how = "copy", .bytes_per_second = memory});
    keep_calibration(this_cpu(1), any);
  }
};

TEST_F(AdviseHere, measures_the_best_and_corrects_itself) {
  calibrate();
  const std::string out = (folder / "run").string();
  std::vector<std::string> words{"--preset", "tiny", "--threads", "1", "--measure", "1", "--out", out};
  for (const char* set : {"precision=fp32", "accumulation=1", "logits_chunks=1", "rounds=1", "warmup_steps=0",
                          "timed_steps=1", "profiled_steps=0"})
    words.insert(words.end(), {"--set", set});
  const Json said = advised(words), &rows = said.at("measured").at("mixes");
  ASSERT_GE(rows.size(), 2U);
  for (const Json& row : rows) {
    EXPECT_EQ(row.at("outcome"), "ok");
    EXPECT_GT(row.at("measured_step_ns").at("median"), 0);
    EXPECT_GT(row.at("predicted_step_ns"), 0);
    const testing::ProgramRun plan =
        testing::run_program({"plan", out + "/matrix.toml", "--cell", row.at("id").get<std::string>(), "--json"});
    EXPECT_EQ(plan.status, 0) << plan.error;  // the run's own file has the cell
  }
  EXPECT_THAT(said.at("measured").at("sentence").get<std::string>(), HasSubstr("easured"));
  // The run's own times would by now choose other mixes: those that it has are gone on with.
  const testing::ProgramRun again = advise(words);
  EXPECT_THAT(again.out,
              AllOf(HasSubstr("to measure: "), HasSubstr("resuming"), HasSubstr("measured, the fastest first")));
  words[1] = "gpt2-tiny";
  const testing::ProgramRun other = advise(words);
  EXPECT_EQ(other.status, 2);
  EXPECT_THAT(other.error, HasSubstr("holds a run of another model or training"));
}

// What is pasted is one cell, whatever the file and --set said of techniques.
TEST(Advise, the_command_to_try_shows_the_answer_and_a_file_s_own_techniques_are_set_aside) {
  const testing::ProgramRun run = advise({"harness/matrices/seed.toml", "--card", "l4", "--set", "precision=bf16",
                                          "--set", "layers=2", "--set", "global_batch=64"});
  ASSERT_EQ(run.status, 0) << run.error;
  EXPECT_THAT(run.out, HasSubstr("is set aside"));
  const std::string mark = "try it: stepscope ";
  const std::size_t at = run.out.find(mark);
  ASSERT_NE(at, std::string::npos) << run.out;
  std::istringstream line(run.out.substr(at + mark.size(), run.out.find('\n', at) - at - mark.size()));
  std::vector<std::string> words;
  for (std::string word; line >> word;) words.push_back(word);
  EXPECT_EQ(std::count(words.begin(), words.end(), "precision=bf16"), 1);
  words.emplace_back("--json");
  const testing::ProgramRun plan = testing::run_program(words);
  EXPECT_EQ(plan.status, 0) << plan.error;
  EXPECT_EQ(std::count(plan.out.begin(), plan.out.end(), '\n'), 1) << plan.out;
}

TEST_F(AdviseHere, mistakes_are_one_line) {
  const auto refused = [](std::vector<std::string> words) {
    words.insert(words.begin(), {"--preset", "tiny"});
    const testing::ProgramRun run = advise(words);
    EXPECT_EQ(run.status, 2);
    EXPECT_EQ(std::count(run.error.begin(), run.error.end(), '\n'), 1) << run.error;
    return run.error;
  };
  EXPECT_THAT(refused({}), AllOf(HasSubstr("--card"), HasSubstr("devices --calibrate")));
  EXPECT_THAT(refused({"--card", "rtx-409"}), HasSubstr("the nearest is rtx-4090"));
  EXPECT_THAT(refused({"--card", "l4", "--budget", "60 %"}), HasSubstr("--budget = 60 %"));
  EXPECT_THAT(refused({"--measure", "2"}), HasSubstr("--out RUN is needed"));
  EXPECT_THAT(refused({"--measure", "0", "--out", "x"}), HasSubstr("--measure"));
  EXPECT_THAT(refused({"--out", "x"}), HasSubstr("--measure"));
  EXPECT_THAT(refused({"--measure", "2", "--out", "x", "--card", "l4"}), HasSubstr("not on --card l4"));
  EXPECT_THAT(refused({"--card", "l4", "--set", "precision=fp8"}), HasSubstr("precision = fp8"));
}

}  // namespace
}  // namespace stepscope
