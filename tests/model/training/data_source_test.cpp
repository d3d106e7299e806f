// What every source promises, and how the two keys of [data] are refused.
#include "model/training/data_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "model/base/error.h"
#include "model/base/file.h"
#include "model/training/data_stream.h"
#include "tests/support/temporary_folder.h"

namespace stepscope {
namespace {

const std::string byte_pairs = "gpt2:" STEPSCOPE_SOURCE_DIR "/tests/model/training/byte_pairs";

class AnySource : public TemporaryFolder, public testing::WithParamInterface<DataSettings> {
 protected:
  void SetUp() override {
    std::string text;
    for (int line = 0; line < 200; ++line)
      text += std::string(static_cast<std::size_t>(line % 23), static_cast<char>('a' + line % 26)) + "\n";
    write_atomically(folder / "text", text);
    std::string tokens;  // the same bytes as uint16
    for (const char c : text) tokens += {c, '\0'};
    write_atomically(folder / "tokens", tokens);
  }

  [[nodiscard]] std::unique_ptr<DataSource> make(std::uint64_t seed = 1) const {
    DataSettings settings = GetParam();
    if (settings.source != "synthetic") settings.source += ":" + (folder / settings.source).string();
    return make_data_source(settings, {.rows = 6, .sequence = 16, .vocabulary = vocabulary(), .seed = seed});
  }
  [[nodiscard]] static std::int64_t vocabulary() { return GetParam().tokenizer == "bytes" ? 256 : 377; }
  [[nodiscard]] static std::vector<std::int32_t> all(const Batch& batch) {
    std::vector<std::int32_t> values = batch.tokens;
    values.insert(values.end(), batch.targets.begin(), batch.targets.end());
    values.insert(values.end(), batch.lengths.begin(), batch.lengths.end());
    return values;
  }
  [[nodiscard]] static std::vector<std::int32_t> filled(const DataSource& source, std::int64_t step) {
    Batch batch;
    source.fill(step, batch);
    return all(batch);
  }
};

TEST_P(AnySource, a_batch_is_a_function_of_seed_and_step) {
  const auto source = make(), again = make(), other = make(2);
  const auto seventh = filled(*source, 7);
  static_cast<void>(filled(*again, 3));  // another history
  EXPECT_EQ(filled(*again, 7), seventh);
  EXPECT_NE(filled(*source, 8), seventh);
  EXPECT_NE(filled(*other, 7), seventh);
}

TEST_P(AnySource, steps_differ) {
  const auto source = make();
  std::set<std::vector<std::int32_t>> seen;
  for (std::int64_t step = 0; step < 50; ++step) seen.insert(filled(*source, step));
  EXPECT_EQ(seen.size(), 50u);
}

TEST_P(AnySource, targets_are_the_next_tokens) {
  const auto source = make();
  Batch batch;
  for (std::int64_t step = 0; step < 20; ++step) {
    step % 2 == 0 ? source->fill(step, batch) : source->fill_validation(step, batch);
    ASSERT_EQ(batch.tokens.size(), 6u * 16);
    ASSERT_EQ(batch.targets.size(), 6u * 16);
    for (std::size_t row = 0; row < 6; ++row) {
      const std::size_t length = batch.lengths.empty() ? 16 : static_cast<std::size_t>(batch.lengths[row]);
      ASSERT_GE(length, 1u);
      for (std::size_t j = 0; j < 16; ++j) {
        const std::size_t at = row * 16 + j;
        if (j + 1 < length) {
          ASSERT_EQ(batch.targets[at], batch.tokens[at + 1]);
        }
        ASSERT_EQ(batch.targets[at] == -1, j >= length);
        ASSERT_TRUE(batch.tokens[at] >= 0 && batch.tokens[at] < vocabulary());
        ASSERT_TRUE(batch.targets[at] < vocabulary());
      }
    }
  }
}

TEST_P(AnySource, memory_is_taken_in_the_first_call_only) {
  const auto source = make();
  Batch batch;
  source->fill(0, batch);
  const void* before[] = {batch.tokens.data(), batch.targets.data(), batch.lengths.data()};
  for (std::int64_t step = 1; step < 20; ++step) source->fill(step, batch), source->fill_validation(step, batch);
  EXPECT_THAT(before, testing::ElementsAre(batch.tokens.data(), batch.targets.data(), batch.lengths.data()));
}

TEST_P(AnySource, validation_repeats_after_its_last_batch) {
  const auto source = make();
  if (source->validation_batches() == DataSource::endless) return;
  Batch first, later;
  source->fill_validation(1, first);
  source->fill_validation(1 + source->validation_batches(), later);
  EXPECT_EQ(all(first), all(later));
}

INSTANTIATE_TEST_SUITE_P(Sources, AnySource,
                         testing::Values(DataSettings{"synthetic", "stream"}, DataSettings{"text", "stream"},
                                         DataSettings{"text", "lines"}, DataSettings{"tokens", "stream"},
                                         DataSettings{"text", "stream", byte_pairs},
                                         DataSettings{"text", "lines", byte_pairs}),
                         [](const auto& info) {
                           return info.param.source + "_" + info.param.rows +
                                  (info.param.tokenizer == "bytes" ? "" : "_byte_pairs");
                         });

std::string refusal(const DataSettings& settings, std::int64_t vocabulary = 256) {
  try {
    static_cast<void>(make_data_source(settings, {.rows = 1, .sequence = 4, .vocabulary = vocabulary, .seed = 1}));
  } catch (const UsageError& error) {
    return error.what();
  }
  return "nothing was refused";
}

TEST(DataSource, refuses_other_values_of_its_keys) {
  EXPECT_EQ(refusal({"parquet:a", "stream"}),
            R"(data.source = "parquet:a": known are "synthetic", "text:PATH" and "tokens:FILE")");
  EXPECT_EQ(refusal({"tokens:a.bin", "stream"}), "a.bin: there is no such file");
  EXPECT_EQ(refusal({"tokens:a.bin", "lines"}),
            R"(data.rows = "lines": data.source = "tokens:a.bin" has no lines, only "stream" fits it)");
  EXPECT_EQ(refusal({"text:", "stream"}),
            R"(data.source = "text:": known are "synthetic", "text:PATH" and "tokens:FILE")");
  EXPECT_EQ(refusal({"", "stream"}), R"(data.source = "": known are "synthetic", "text:PATH" and "tokens:FILE")");
  EXPECT_EQ(refusal({"synthetic", "words"}), R"(data.rows = "words": known are "stream" and "lines")");
  EXPECT_EQ(refusal({"synthetic", "lines"}),
            R"(data.rows = "lines": data.source = "synthetic" has no lines, only "stream" fits it)");
  EXPECT_EQ(refusal({"text:absent", "stream"}), "absent: there is no such file");
  EXPECT_EQ(refusal({"text:x", "stream"}, 255), R"(model.vocabulary = 255: data.tokenizer = "bytes" needs 256)");
  EXPECT_EQ(refusal({"text:x", "stream", byte_pairs}, 376),
            "model.vocabulary = 376: data.tokenizer = \"" + byte_pairs + "\" needs 377");
  EXPECT_EQ(refusal({"text:x", "stream", "words"}), R"(data.tokenizer = "words": known are "bytes" and "gpt2:FOLDER")");
}

TEST(DataStream, uses_all_bits_of_seed_and_step) {
  const auto number = [](std::uint64_t seed, std::int64_t step) {
    return DataStream{seed, DataStream::Use::training}.below(std::int64_t{1} << 62, step, 0);
  };
  const std::set<std::int64_t> numbers = {number(1, 1), number(2, 1), number(1 + (1ull << 32), 1), number(1, 2),
                                          number(1, 1 + (1ll << 32))};
  EXPECT_EQ(numbers.size(), 5u);
}

// Each of n values at its share, within five standard deviations; and the ends of very large ranges are met to 1 part in 1000.
TEST(DataStream, below_is_uniform) {
  const DataStream stream{5, DataStream::Use::training};
  std::vector<int> met(7);
  constexpr int draws = 70000;
  for (int step = 0; step < draws; ++step) ++met[static_cast<std::size_t>(stream.below(7, step, 0))];
  for (const int count : met) EXPECT_NEAR(count, draws / 7.0, 5 * std::sqrt(draws / 7.0));
  constexpr std::int64_t large = std::int64_t{1} << 40;
  std::int64_t least = large, most = 0;
  for (int step = 0; step < 10000; ++step) {
    const std::int64_t value = stream.below(large, step, 1);
    least = std::min(least, value), most = std::max(most, value);
  }
  EXPECT_LT(static_cast<double>(least) / large, 1e-3);
  EXPECT_GT(static_cast<double>(most) / large, 1 - 1e-3);
  EXPECT_LT(most, large);
}

}  // namespace
}  // namespace stepscope
