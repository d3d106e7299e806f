// plan --card, --budget and --largest as a person calls them: what fits, with the margin, and an answer that runs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/program_run.h"

namespace stepscope {
namespace {

using Json = nlohmann::json;
using ::testing::HasSubstr;

Json planned(std::vector<std::string> words) {
  words.insert(words.begin(), {"plan", "--json"});
  const testing::ProgramRun run = testing::run_program(words);
  EXPECT_EQ(run.status, 0) << run.error;
  return Json::parse(run.out);
}

std::int64_t sum_beside(const Json& fit) {
  std::int64_t sum = 0;
  for (const Json& part : fit.at("beside")) {
    sum += part.at("bytes").get<std::int64_t>();
    EXPECT_GT(part.at("source").get<std::string>().size(), 10U);
    EXPECT_THAT(part.at("basis").get<std::string>(), ::testing::AnyOf("measured", "vendor", "estimated"));
  }
  return sum;
}

TEST(PlanOnACard, in_fp16_needs_no_library_that_multiplies_it) {
  const testing::ProgramRun said = testing::run_program({"plan", "--preset", "tiny", "--card", "l4", "--set",
                                                         "precision=fp16", "--set", "checkpointing=TransformerBlock"});
  EXPECT_EQ(said.status, 0) << said.error;
}

TEST(PlanFits, the_margin_is_the_memory_less_all_that_counts) {
  const std::vector<std::vector<std::string>> calls{{"--preset", "seed", "--card", "h100-sxm"},
                                                    {"--preset", "seed", "--card", "l4"},
                                                    {"--preset", "seed", "--card", "l4", "--budget", "12GiB"},
                                                    {"--preset", "seed-small"},
                                                    {"--preset", "seed-small", "--budget", "1GiB"}};
  for (const std::vector<std::string>& call : calls) {
    const Json line = planned(call), &fit = line.at("fit");
    const std::int64_t left = fit.at("memory").at("bytes").get<std::int64_t>() - sum_beside(fit);
    EXPECT_EQ(fit.at("limit_bytes"), left);
    EXPECT_EQ(fit.at("margin_bytes"), left - line.at("bytes").at("predicted_peak").get<std::int64_t>());
    EXPECT_EQ(line.at("outcome"), fit.at("margin_bytes") >= 0 ? "planned" : "does-not-fit");
  }
  EXPECT_EQ(planned(calls[2]).at("fit").at("memory").at("bytes"), std::int64_t{12} << 30);
  EXPECT_GT(sum_beside(planned(calls[2]).at("fit")), 0);  // a budget on a card is for the whole process
  EXPECT_EQ(sum_beside(planned(calls[4]).at("fit")), 0);
  EXPECT_GT(sum_beside(planned(calls[3]).at("fit")), 1 << 20);  // this process was measured
}

TEST(PlanFits, says_what_counts_in_words) {
  EXPECT_THAT(testing::run_program({"plan", "--preset", "seed", "--card", "l4"}).out,
              ::testing::AllOf(HasSubstr("short"), HasSubstr("less context"), HasSubstr("libraries"),
                               HasSubstr("(estimated)"), HasSubstr("for states and arena")));
  EXPECT_THAT(testing::run_program({"devices", "--cards"}).out,
              ::testing::AllOf(HasSubstr("context"), HasSubstr("libraries"), HasSubstr("graph")));
}

TEST(PlanLargest, the_answer_runs_in_that_memory_and_the_next_is_refused) {
  const std::vector<std::string> cell{"--preset", "tiny", "--set", "accumulation=2", "--set", "precision=bf16"};
  std::vector<std::string> call = cell;
  call.insert(call.end(), {"--largest", "batch", "--budget", "20MiB"});
  const Json found = planned(call);
  const auto step = [&](const std::vector<std::string>& sets) {
    std::vector<std::string> words{"step", "--threads", "1", "--memory-cap", "20MiB"};
    words.insert(words.end(), cell.begin(), cell.end());
    for (const std::string& set : sets) words.insert(words.end(), {"--set", set});
    return testing::run_program(words);
  };
  EXPECT_EQ(found.at("value").get<int>() % 2, 0);
  EXPECT_EQ(found.at("next").at("value"), found.at("value").get<int>() + 2);
  EXPECT_EQ(step(found.at("sets")).status, 0);
  const testing::ProgramRun refused = step({"global_batch=" + found.at("next").at("value").dump()});
  EXPECT_EQ(refused.status, 3);
  EXPECT_THAT(refused.error, HasSubstr("the cap is 20971520"));
}

// Each would keep more if it could.
TEST(PlanLargest, a_cap_is_what_an_automatic_budget_has_and_a_cell_s_own_budget_is_its_limit) {
  const std::vector<std::string> cell{"--preset", "tiny", "--set", "global_batch=32"};
  const auto used = [&](std::vector<std::string> words) {
    words.insert(words.end(), cell.begin(), cell.end());
    words.insert(words.begin(), {"step", "--threads", "1", "--json"});
    const testing::ProgramRun run = testing::run_program(words);
    EXPECT_EQ(run.status, 0) << run.error;
    return Json::parse(run.out).at("used_peak").get<std::int64_t>();
  };
  const std::int64_t whole = used({}), capped = whole - whole / 10;
  EXPECT_LE(used({"--set", "checkpointing=budget:auto", "--memory-cap", std::to_string(capped) + "B"}), capped);
  std::vector<std::string> call = cell;
  call.insert(call.end(), {"--set", "checkpointing=budget:" + std::to_string(capped) + "B", "--largest", "batch"});
  const Json found = planned(call);
  EXPECT_GE(found.at("value"), 32);
  EXPECT_LT(found.at("margin_bytes"), capped);
  EXPECT_GT(found.at("next").at("short_bytes"), 0);
}

TEST(PlanFrontier, names_the_fastest_that_fits_and_no_name_twice_because_of_chunks) {
  const testing::ProgramRun run =
      testing::run_program({"plan", "--preset", "gpt2-124m", "--set", "precision=bf16", "--set", "logits_chunks=auto",
                            "--card", "l4", "--budget", "4GiB", "--frontier"});
  EXPECT_EQ(run.status, 0) << run.error;
  EXPECT_THAT(run.out, HasSubstr("(the fastest that fits)"));
  EXPECT_LT(std::count(run.out.begin(), run.out.end(), '\n'), 45) << run.out;
  const testing::ProgramRun none = testing::run_program(
      {"plan", "--preset", "gpt2-124m", "--set", "precision=bf16", "--card", "l4", "--budget", "2GiB", "--frontier"});
  EXPECT_THAT(none.out, HasSubstr("none of them fits"));
}

TEST(PlanLargest, ends_of_what_a_field_permits) {
  const auto found = [](const char* dimension, const char* budget) {
    return planned({"--preset", "tiny", "--largest", dimension, "--budget", budget});
  };
  EXPECT_EQ(found("sequence", "1GiB").at("value"), 32);  // max_sequence
  EXPECT_TRUE(found("sequence", "1GiB").at("next").is_null());
  EXPECT_TRUE(found("layers", "100KiB").at("value").is_null());
  EXPECT_GT(found("layers", "100KiB").at("next").at("short_bytes"), 0);
}

TEST(PlanLargest, a_screen_of_100_columns_is_enough) {
  for (const char* dimension : {"batch", "sequence", "layers", "hidden"}) {
    std::istringstream lines(
        testing::run_program({"plan", "--preset", "gpt2-124m", "--card", "rtx-4090", "--largest", dimension}).out);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100U) << line;
  }
}

TEST(PlanLargest, mistakes_are_one_line) {
  const auto refused = [](std::vector<std::string> more) {
    more.insert(more.begin(), {"plan", "--preset", "tiny"});
    const testing::ProgramRun run = testing::run_program(more);
    EXPECT_EQ(run.status, 2);
    EXPECT_EQ(std::count(run.error.begin(), run.error.end(), '\n'), 1) << run.error;
    return run.error;
  };
  for (const char* size : {"1e99GiB", "0B", "60 %", "-1", "1e-9B", "nanB", "infGiB", "8"})
    EXPECT_THAT(refused({std::string("--budget=") + size}), HasSubstr(std::string("--budget = ") + size));
  EXPECT_THAT(refused({"--largest", "width"}), HasSubstr("batch, sequence, layers, hidden"));
  EXPECT_THAT(refused({"--largest", "batch", "--prices"}), HasSubstr("--prices"));
  EXPECT_THAT(refused({"--largest", "batch", "--card", "l44"}), HasSubstr("the nearest is l4"));
}

}  // namespace
}  // namespace stepscope
