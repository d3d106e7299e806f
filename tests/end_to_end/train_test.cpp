// `stepscope train` as a person calls it: what it writes, what it goes on with, what it refuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "model/base/file.h"
#include "model/base/tolerance.h"
#include "model/training/safetensors.h"
#include "tests/support/program_run.h"
#include "tests/support/temporary_folder.h"

namespace stepscope {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

class EndToEndTrain : public TemporaryFolder {
 protected:
  testing::ProgramRun train(const std::string& steps, std::vector<std::string> more = {}, const char* out = "t") {
    more.insert(more.begin(),
                {"train", "--preset", "tiny", "--threads", "1", "--steps", steps, "--out", (folder / out).string()});
    return testing::run_program(more);
  }
  std::string of(const char* out, const char* file) const { return read_file(folder / out / file); }
};

TEST_F(EndToEndTrain, the_loss_falls_on_a_source_that_can_be_learned) {
  const testing::ProgramRun run = train("150", {"--validate-every", "50", "--json"});
  ASSERT_EQ(run.status, 0) << run.error;
  const auto line = nlohmann::json::parse(run.out);
  EXPECT_LT(line.at("validation_loss"), 5.0);  // log 256 = 5.55 is what an untrained model has
  const std::string rows = of("t", "loss.csv");
  EXPECT_EQ(std::count(rows.begin(), rows.end(), '\n'), 151);
  EXPECT_THAT(rows, HasSubstr("\n150,38400,"));  // 8 x 32 tokens a step
}

TEST_F(EndToEndTrain, the_loss_comes_down_to_the_entropy_of_the_source) {
  const testing::ProgramRun run =
      train("300", {"--set", "vocabulary=16", "--set", "dropout=0", "--set", "learning_rate=2e-3", "--json"});
  ASSERT_EQ(run.status, 0) << run.error;
  const auto line = nlohmann::json::parse(run.out);
  const double excess = line.at("validation_loss").get<double>() / line.at("entropy").get<double>() - 1;
  EXPECT_GT(excess, -0.02);  // below by chance of 2,048 tokens only
  EXPECT_LT(excess, 0.03);
}

TEST_F(EndToEndTrain, samples_go_on_from_the_prompt_and_a_resumed_training_has_the_same) {
  std::ofstream(folder / "a.txt") << [] {
    std::string text;
    for (int i = 0; i < 500; ++i) text += "say \"ab\"\n";
    return text;
  }();
  std::vector<std::string> with{"--data",
                                "text:" + (folder / "a.txt").string(),
                                "--set",
                                "schedule=constant",
                                "--set",
                                "learning_rate=3e-3",
                                "--sample",
                                "20",
                                "--prompt",
                                "say ",
                                "--top-k",
                                "1",
                                "--validate-every",
                                "50"};
  ASSERT_EQ(train("150", with, "whole").status, 0);
  const std::string rows = of("whole", "samples.csv");
  EXPECT_EQ(std::count(rows.begin(), rows.end(), '\n'), 4);
  EXPECT_THAT(rows, AllOf(HasSubstr("step,text\n50,\"say "), HasSubstr("150,\"say \"\"ab\"\"\\nsay \"\"ab\"\"\\n")));
  ASSERT_EQ(train("100", with).status, 0);
  ASSERT_EQ(train("150", with).status, 0);
  EXPECT_EQ(of("t", "samples.csv"), rows);
}

// A text that GPT-2's tokens make short: the samples are its words, and the vocabulary's bytes are part of the training.
TEST_F(EndToEndTrain, a_text_in_byte_pairs_is_learned_and_samples_are_text_again) {
  std::ofstream(folder / "a.txt") << [] {
    std::string text;
    for (int i = 0; i < 400; ++i) text += "and God said light\n";
    return text;
  }();
  fs::copy(fs::path(STEPSCOPE_SOURCE_DIR) / "tests/model/training/byte_pairs", folder / "v");
  const auto run = [&](const char* steps) {
    return train(steps, {"--data", "text:" + (folder / "a.txt").string(), "--set",
                         "tokenizer=gpt2:" + (folder / "v").string(), "--set", "vocabulary=377", "--set",
                         "schedule=constant", "--sample", "12", "--temperature", "0", "--prompt", "and God"});
  };
  const testing::ProgramRun learned = run("60");
  ASSERT_EQ(learned.status, 0) << learned.error;
  EXPECT_THAT(of("t", "samples.csv"), HasSubstr("60,and God said light\\nand God said light\\n"));
  std::ofstream(folder / "v" / "vocab.bpe", std::ios::app) << "X X\n";
  EXPECT_EQ(run("61").status, 2);  // XX is no token
  fs::copy_file(fs::path(STEPSCOPE_SOURCE_DIR) / "tests/model/training/byte_pairs/vocab.bpe",
                folder / "v" / "vocab.bpe", fs::copy_options::overwrite_existing);
  std::ofstream(folder / "v" / "vocab.bpe", std::ios::app) << "\n";  // another file, the same merges
  const testing::ProgramRun other = run("61");
  EXPECT_EQ(other.status, 2);
  EXPECT_THAT(other.error, HasSubstr("data.tokenizer_hash"));
}

TEST_F(EndToEndTrain, samples_that_cannot_be_are_refused) {
  EXPECT_THAT(train("5", {"--sample", "5", "--prompt", "In"}).error, HasSubstr("data.source = synthetic is no text"));
  EXPECT_THAT(train("5", {"--prompt", "In"}).error, HasSubstr("--sample N"));
  EXPECT_THAT(train("5", {"--sample", "5", "--set", "mask=[\"padding\"]"}).error, HasSubstr("mask = [\"causal\"]"));
  EXPECT_FALSE(fs::exists(folder / "t"));
}

TEST_F(EndToEndTrain, a_longer_training_goes_on_where_the_schedule_allows_it) {
  const std::vector<std::string> constant{"--set", "schedule=constant", "--validate-every", "5"};
  ASSERT_EQ(train("10", constant).status, 0);
  ASSERT_EQ(train("20", constant).status, 0);
  ASSERT_EQ(train("20", constant, "whole").status, 0);
  EXPECT_EQ(of("t", "state.safetensors"), of("whole", "state.safetensors"));
  EXPECT_EQ(of("t", "loss.csv"), of("whole", "loss.csv"));
  EXPECT_THAT(train("15", constant).error, HasSubstr("--steps 15"));
  ASSERT_EQ(train("10", {}, "cosine").status, 0);
  const testing::ProgramRun longer = train("20", {}, "cosine");  // its learning rates were those of 10 steps
  EXPECT_EQ(longer.status, 2);
  EXPECT_THAT(longer.error, AllOf(HasSubstr("training.steps is 10 there"), HasSubstr("20 here")));
}

// Techniques that keep the mathematics may change in between: checkpointing changes no bit, accumulation only the order of sums.
TEST_F(EndToEndTrain, goes_on_with_other_techniques) {
  const auto with = [](std::vector<std::string> sets) {
    std::vector<std::string> arguments{"--validate-every", "5"};
    sets.push_back("schedule=constant");
    for (const std::string& set : sets) arguments.insert(arguments.end(), {"--set", set});
    return arguments;
  };
  const auto parameters = [&](const char* out) {
    std::vector<float> elements;
    for (const NamedTensor& tensor : read_safetensors(folder / out / "state.safetensors").tensors) {
      const std::size_t at = elements.size();
      elements.resize(at + tensor.bytes.size() / sizeof(float));
      std::memcpy(elements.data() + at, tensor.bytes.data(), tensor.bytes.size());
    }
    return elements;
  };
  ASSERT_EQ(train("10", with({}), "whole").status, 0);
  ASSERT_EQ(train("5", with({})).status, 0);
  ASSERT_EQ(train("10", with({"checkpointing=TransformerBlock"})).status, 0);
  EXPECT_EQ(parameters("t"), parameters("whole"));
  EXPECT_EQ(of("t", "loss.csv"), of("whole", "loss.csv"));
  EXPECT_THAT(of("t", "cell.toml"), HasSubstr("TransformerBlock"));
  ASSERT_EQ(train("5", with({}), "split").status, 0);
  ASSERT_EQ(train("10", with({"accumulation=4"}), "split").status, 0);
  const std::vector<float> whole = parameters("whole"), split = parameters("split");
  ASSERT_EQ(whole.size(), split.size());
  double off = 0, all = 0;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    off += std::pow(static_cast<double>(whole[i]) - split[i], 2);
    all += std::pow(static_cast<double>(whole[i]), 2);
  }
  EXPECT_GT(off, 0);
  EXPECT_LT(std::sqrt(off / all), tolerance(DType::fp32).relative);
}

TEST_F(EndToEndTrain, a_training_that_diverges_ends_with_one_line_and_status_one) {
  ASSERT_EQ(train("4", {"--set", "schedule=constant"}).status, 0);
  std::string state = of("t", "state.safetensors");
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, state.data(), sizeof header_bytes);
  std::fill(state.begin() + static_cast<std::ptrdiff_t>(sizeof header_bytes + header_bytes), state.end(),
            '\xff');  // NaN
  std::ofstream(folder / "t" / "state.safetensors", std::ios::binary) << state;
  const testing::ProgramRun run = train("8", {"--set", "schedule=constant"});
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.error, AllOf(HasSubstr("the loss of step 5 is"), HasSubstr("the last saved state stays in")));
}

TEST_F(EndToEndTrain, another_configuration_or_text_is_refused_and_nothing_changes) {
  std::ofstream(folder / "a.txt") << std::string(5000, 'a');
  const std::vector<std::string> text{"--data", "text:" + (folder / "a.txt").string()};
  ASSERT_EQ(train("4", text).status, 0);
  const std::string state = of("t", "state.safetensors");
  std::vector<std::string> other = text;
  other.insert(other.end(), {"--set", "precision=bf16"});
  EXPECT_THAT(train("4", other).error, HasSubstr("techniques.precision is fp32 there and bf16 here"));
  std::ofstream(folder / "a.txt") << std::string(5000, 'b');
  const testing::ProgramRun changed = train("4", text);
  EXPECT_EQ(changed.status, 2);
  EXPECT_THAT(changed.error, HasSubstr("data.text_hash"));
  EXPECT_EQ(of("t", "state.safetensors"), state);
}

TEST_F(EndToEndTrain, what_a_kill_left_is_put_right) {
  ASSERT_EQ(train("6", {"--validate-every", "3"}).status, 0);
  const std::string rows = of("t", "loss.csv");
  std::ofstream(folder / "t" / "loss.csv", std::ios::app) << "7,1792,5.5,0.001,\n8,20";  // beyond the state
  std::ofstream(folder / "t" / "state.safetensors.tmp-17") << "half";
  ASSERT_EQ(train("6", {"--validate-every", "3"}).status, 0);
  EXPECT_EQ(of("t", "loss.csv"), rows);
  EXPECT_FALSE(fs::exists(folder / "t" / "state.safetensors.tmp-17"));
}

TEST_F(EndToEndTrain, a_folder_of_something_else_is_left_alone) {
  fs::create_directories(folder / "t");
  std::ofstream(folder / "t" / "thesis.txt") << "x";
  const testing::ProgramRun run = train("2");
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.error, HasSubstr("no training"));
  EXPECT_FALSE(fs::exists(folder / "t" / "cell.toml"));
}

TEST_F(EndToEndTrain, a_model_that_does_not_fit_is_refused_before_it_is_made) {
  const testing::ProgramRun run = train("2", {"--set", "vocabulary=1048576", "--set", "hidden=65536"});
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.error, AllOf(HasSubstr("does not fit"), HasSubstr("are needed")));
  EXPECT_FALSE(fs::exists(folder / "t"));
}

TEST_F(EndToEndTrain, a_lost_loss_curve_is_named) {
  const std::vector<std::string> constant{"--set", "schedule=constant"};  // goes on to any length
  ASSERT_EQ(train("4", constant).status, 0);
  for (const bool there : {true, false}) {
    fs::remove(folder / "t" / "loss.csv");
    if (there) std::ofstream(folder / "t" / "loss.csv").flush();
    const testing::ProgramRun again = train("6", constant);
    EXPECT_EQ(again.status, 2);
    EXPECT_THAT(again.error, HasSubstr("loss.csv: is missing or has no rows, but its saved state is at step 4"));
  }
}

}  // namespace
}  // namespace stepscope
