// precision = fp16 and tf32, and logits_chunks, as a person calls them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "model/base/file.h"
#include "model/training/safetensors.h"
#include "tests/support/program_run.h"
#include "tests/support/temporary_folder.h"

namespace stepscope {
namespace {

using ::testing::HasSubstr;

class EndToEndPrecision : public TemporaryFolder {
 protected:
  testing::ProgramRun train(const std::string& steps, const std::vector<std::string>& sets, const char* out = "t") {
    std::vector<std::string> words{
        "train", "--preset", "tiny", "--threads", "1", "--steps", steps, "--out", (folder / out).string()};
    for (const std::string& set : sets) words.insert(words.end(), {"--set", set});
    return testing::run_program(words);
  }
  std::string rows(const char* out = "t") const { return read_file(folder / out / "loss.csv"); }

  struct Row {
    double loss = 0, scale = 0;
    int skipped = 0;
  };
  std::vector<Row> read_rows(const char* out = "t") const {
    std::vector<Row> read;
    std::istringstream lines(rows(out));
    std::string line;
    std::getline(lines, line);
    EXPECT_EQ(line, "step,tokens,loss,learning_rate,validation_loss,loss_scale,skipped_steps");
    while (std::getline(lines, line)) {
      std::vector<std::string> cells;
      std::istringstream parts(line);
      for (std::string cell; std::getline(parts, cell, ',');) cells.push_back(cell);
      read.push_back(
          {.loss = std::stod(cells.at(2)), .scale = std::stod(cells.at(5)), .skipped = std::stoi(cells.at(6))});
    }
    return read;
  }
};

// A rate far too high drives weights up, and with them gradients, beyond a scale that fits throughout at an ordinary rate: the step
// is skipped, the scale comes down, training goes on.
TEST_F(EndToEndPrecision, fp16_with_an_overflowing_learning_rate_recovers_and_says_so) {
  const auto at_rate = [&](const char* rate) {
    return train("150",
                 {"preset=gpt2-tiny", "precision=fp16", "loss_scale=524288", "schedule=constant",
                  "learning_rate_warmup=0", std::string("learning_rate=") + rate},
                 rate);
  };
  ASSERT_EQ(at_rate("0.001").status, 0);
  EXPECT_EQ(read_rows("0.001").back().skipped, 0);
  const testing::ProgramRun run = at_rate("0.03");
  ASSERT_EQ(run.status, 0) << run.error;
  const std::vector<Row> all = read_rows("0.03");
  ASSERT_EQ(all.size(), 150U);
  const int skipped = all.back().skipped;
  EXPECT_GT(skipped, 0);
  EXPECT_THAT(run.out, HasSubstr(" · scale " + std::to_string(524288 >> skipped) + " · " + std::to_string(skipped) +
                                 " skipped · "));
  int before = 0;
  for (std::size_t i = 0; i + 1 < all.size(); ++i) {
    EXPECT_EQ(all[i + 1].scale, all[i].skipped > before ? all[i].scale / 2 : all[i].scale) << i;
    before = all[i].skipped;
  }
  EXPECT_EQ(all[140].skipped, skipped);  // the last steps count again
  EXPECT_LT(all.back().loss, 4.5);  // log 256 = 5.55 is what an untrained model has
}

// Stopped after 9 steps, in the middle of skips and of growth, and gone on from.
TEST_F(EndToEndPrecision, fp16_stopped_and_resumed_is_never_stopped_scale_and_skips_included) {
  const std::vector<std::string> sets{"precision=fp16", "loss_scale=16777216", "loss_scale_growth_interval=2",
                                      "schedule=constant"};
  ASSERT_EQ(train("24", sets, "whole").status, 0);
  EXPECT_GT(read_rows("whole").back().skipped, 6);
  ASSERT_EQ(train("9", sets, "parts").status, 0);
  EXPECT_GT(read_rows("parts").back().skipped, 0);
  ASSERT_EQ(train("24", sets, "parts").status, 0);
  EXPECT_EQ(read_file(folder / "parts" / "state.safetensors"), read_file(folder / "whole" / "state.safetensors"));
}

TEST_F(EndToEndPrecision, fields_of_the_scale_are_seen_with_fp16_only) {
  const auto axes = [](const char* precision) {
    const testing::ProgramRun run =
        testing::run_program({"plan", "--preset", "tiny", "--json", "--set", std::string("precision=") + precision,
                              "--set", "loss_scale=8"});
    EXPECT_EQ(run.status, 0) << run.error;
    return nlohmann::json::parse(run.out).at("axes");
  };
  EXPECT_EQ(axes("fp16").at("loss_scale"), 8);
  EXPECT_EQ(axes("fp16").at("loss_scale_growth_interval"), 2000);
  EXPECT_FALSE(axes("bf16").contains("loss_scale"));
  const testing::ProgramRun odd =
      testing::run_program({"plan", "--preset", "tiny", "--set", "precision=fp16", "--set", "loss_scale=1000"});
  EXPECT_EQ(odd.status, 2);
  EXPECT_EQ(odd.error, "stepscope: --set: training.loss_scale = 1000: a power of two from 1 to 2^64\n");
}

TEST_F(EndToEndPrecision, tf32_is_unsupported_on_a_cpu_and_says_why) {
  const std::string reason = "precision = tf32: only a GPU's tensor cores multiply fp32 so, and this is a CPU";
  const testing::ProgramRun step = testing::run_program({"step", "--preset", "tiny", "--set", "precision=tf32"});
  EXPECT_EQ(step.status, 2);
  EXPECT_EQ(step.error, "stepscope: " + reason + "\n");
  EXPECT_EQ(train("3", {"precision=tf32"}).status, 2);
  const testing::ProgramRun plan =
      testing::run_program({"plan", "--preset", "tiny", "--json", "--set", "precision=tf32"});
  EXPECT_EQ(plan.status, 0) << plan.error;
  const auto record = nlohmann::json::parse(plan.out);
  EXPECT_EQ(record.at("outcome"), "unsupported");
  EXPECT_EQ(record.at("reason"), reason);
  // A card that has it is planned for, by its own peak: faster than fp32.
  const auto time_on = [](const char* precision) {
    const testing::ProgramRun run = testing::run_program(
        {"plan", "--preset", "seed", "--json", "--card", "h100-sxm", "--set", std::string("precision=") + precision});
    EXPECT_EQ(run.status, 0) << run.error;
    return nlohmann::json::parse(run.out).at("predicted_time").at("step_ns").get<double>();
  };
  EXPECT_LT(time_on("tf32"), time_on("fp32"));
}

TEST_F(EndToEndPrecision, a_run_of_every_kind_of_rounding_is_verified_and_reported) {
  std::ofstream(folder / "m.toml")
      << "[model]\npreset = \"tiny\"\n[measure]\nrounds = 1\ntimed_steps = 2\nprofiled_steps = 1\n"
         "learning_steps = 6\n[[cell]]\nprecision = \"fp16\"\n"
         "[[cell]]\nprecision = \"bf16\"\ngradient_precision = \"bf16\"\naccumulation = 4\n"
         "[[cell]]\nsoftmax_precision = \"bf16\"\n"
         "[[cell]]\nprecision = \"fp16\"\nresidual_precision = \"fp32\"\nlogits_chunks = 2\n";
  const testing::ProgramRun run =
      testing::run_program({"run", (folder / "m.toml").string(), "--out", (folder / "run").string(), "--threads", "1"});
  ASSERT_EQ(run.status, 0) << run.error << run.out;
  int scaled = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder / "run" / "cells")) {
    const auto record = nlohmann::json::parse(read_file(entry.path() / "record.json"));
    EXPECT_EQ(record.at("outcome"), "ok") << record.at("id") << record.at("reason");
    const auto& numerics = record.at("numerics");
    if (numerics.at("reference") != record.at("id")) {
      EXPECT_GT(numerics.at("gradient_error"), 0) << record.at("id");
      EXPECT_LT(numerics.at("gradient_error"), numerics.at("gradient_limit")) << record.at("id");
    }
    if (record.at("loss_scaling").is_null()) continue;
    ++scaled;
    EXPECT_EQ(record.at("loss_scaling").at("scale"), 65536);
    EXPECT_EQ(record.at("loss_scaling").at("skipped_steps"), 0);
    EXPECT_GE(record.at("loss_scaling").at("steps"), 5);  // of the timed visit, if no learning one was made
  }
  EXPECT_EQ(scaled, 2);
  const testing::ProgramRun report = testing::run_program({"report", (folder / "run").string()});
  EXPECT_EQ(report.status, 0) << report.error;
  EXPECT_THAT(read_file(folder / "run" / "report" / "report.md"),
              HasSubstr(" steps skipped for an overflow, the scale at the end 65,536"));
}

TEST_F(EndToEndPrecision, chunked_logits_are_not_saved) {
  const auto save = [&](const char* chunks) {
    const std::string file = (folder / (std::string(chunks) + ".safetensors")).string();
    const testing::ProgramRun run = testing::run_program(
        {"step", "--preset", "tiny", "--set", std::string("logits_chunks=") + chunks, "--save", file});
    EXPECT_EQ(run.status, 0) << run.error;
    return read_safetensors(file);
  };
  EXPECT_NE(save("1").find("logits"), nullptr);
  EXPECT_EQ(save("4").find("logits"), nullptr);
  const testing::ProgramRun many = testing::run_program({"step", "--preset", "tiny", "--set", "logits_chunks=257"});
  EXPECT_EQ(many.status, 2);
  EXPECT_THAT(many.error, HasSubstr("logits_chunks = 257: must be at most 256, the tokens of a micro-step"));
}

}  // namespace
}  // namespace stepscope
