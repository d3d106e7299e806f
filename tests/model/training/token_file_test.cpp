// Token files as nanoGPT and llm.c write them: told apart, split, and refused with a clear word where they are wrong.
#include "model/training/token_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <set>

#include "model/base/error.h"
#include "model/base/file.h"
#include "model/training/stream_source.h"
#include "tests/support/temporary_folder.h"

namespace stepscope {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

std::string llmc_header(std::int32_t magic, std::int32_t version, std::int32_t count) {
  std::vector<std::int32_t> words(256, 0);
  words[0] = magic, words[1] = version, words[2] = count;
  return bytes_of(words);
}

class TokenFiles : public TemporaryFolder {
 protected:
  [[nodiscard]] std::string file(const std::string& bytes) const {
    write_atomically(folder / "t.bin", bytes);
    return (folder / "t.bin").string();
  }
  // Token i is i mod 50021: a pair of neighbours tells where it lies.
  static std::vector<std::uint16_t> counting(std::size_t count) {
    std::vector<std::uint16_t> tokens(count);
    for (std::size_t i = 0; i < count; ++i) tokens[i] = static_cast<std::uint16_t>(i % 50021);
    return tokens;
  }
  [[nodiscard]] StreamSource source_of(const std::string& bytes, const BatchShape& shape) const {
    const std::string path = file(bytes);
    return {std::make_unique<TokenFile>(path, shape.vocabulary), path, "tokens", shape};
  }
  [[nodiscard]] std::string refusal(const std::string& bytes, std::int64_t vocabulary = 50257) const {
    try {
      static_cast<void>(source_of(bytes, {.rows = 1, .sequence = 4, .vocabulary = vocabulary, .seed = 1}));
    } catch (const UsageError& error) {
      return error.what();
    }
    return "nothing was refused";
  }
};

TEST_F(TokenFiles, both_formats_hold_the_same_tokens) {
  const std::string raw = bytes_of(counting(60000));
  const TokenFile plain(file(raw), 50257);
  ASSERT_EQ(plain.count(), 60000);
  write_atomically(folder / "l.bin", llmc_header(20240520, 1, 60000) + raw);
  const TokenFile with_header((folder / "l.bin").string(), 50257);
  ASSERT_EQ(with_header.count(), 60000);
  for (const std::int64_t begin : {0, 1, 40000, 50015}) {  // the last crosses from 50,020 back to 0
    std::vector<std::int32_t> a(9000), b(9000);
    plain.read(begin, a);
    with_header.read(begin, b);
    EXPECT_EQ(a, b);
    for (std::size_t i = 0; i < a.size(); ++i)
      ASSERT_EQ(a[i], static_cast<std::int32_t>((static_cast<std::size_t>(begin) + i) % 50021));
  }
}

TEST_F(TokenFiles, a_short_file_that_begins_as_a_magic_does_is_plain) {
  const std::int32_t magic = 20240520;
  std::vector<std::uint16_t> tokens = counting(100);
  std::memcpy(tokens.data(), &magic, sizeof magic);
  EXPECT_EQ(TokenFile(file(bytes_of(tokens)), 65536).count(), 100);
}

TEST_F(TokenFiles, rows_are_split_as_those_of_a_text) {
  const StreamSource source =
      source_of(bytes_of(counting(200)), {.rows = 4, .sequence = 5, .vocabulary = 256, .seed = 3});
  std::set<std::int32_t> training, validation;
  Batch batch;
  for (std::int64_t step = 0; step < 1000; ++step) {
    source.fill(step, batch);
    training.insert(batch.tokens.begin(), batch.tokens.end());
    training.insert(batch.targets.begin(), batch.targets.end());
    for (std::size_t i = 0; i < batch.tokens.size(); ++i) ASSERT_EQ(batch.targets[i], batch.tokens[i] + 1);
  }
  EXPECT_EQ(*training.begin(), 0);
  EXPECT_EQ(*training.rbegin(), 179);
  EXPECT_EQ(training.size(), 180U);
  for (std::int64_t index = 0; index < source.validation_batches(); ++index) {
    source.fill_validation(index, batch);
    validation.insert(batch.tokens.begin(), batch.tokens.end());
    for (std::size_t i = 0; i < batch.tokens.size(); ++i) ASSERT_EQ(batch.targets[i], batch.tokens[i] + 1);
  }
  EXPECT_EQ(*validation.begin(), 180);
  EXPECT_LE(*validation.rbegin(), 199);
  EXPECT_EQ(validation.size(), 15U);  // three whole rows of five fit into twenty tokens and a target
}

TEST_F(TokenFiles, wrong_files_are_refused) {
  const std::string raw = bytes_of(counting(40));
  EXPECT_EQ(refusal(raw), "nothing was refused");
  EXPECT_THAT(refusal(raw + "x"), AllOf(HasSubstr("t.bin"), HasSubstr("81 bytes"), HasSubstr("even")));
  EXPECT_THAT(refusal(""), HasSubstr("holds 0 tokens"));
  EXPECT_THAT(refusal(bytes_of(counting(9))), AllOf(HasSubstr("holds 9 tokens"), HasSubstr("need 5 each")));
  EXPECT_THAT(refusal(llmc_header(20240520, 7, 40) + raw), AllOf(HasSubstr("version 7"), HasSubstr("1 is known")));
  EXPECT_THAT(refusal(llmc_header(20240520, 1, 41) + raw), AllOf(HasSubstr("41 tokens"), HasSubstr("1106 bytes")));
  EXPECT_THAT(refusal(llmc_header(20240520, 1, -1) + raw), HasSubstr("-1 tokens"));
}

TEST_F(TokenFiles, a_token_outside_the_vocabulary_is_named_with_its_place) {
  std::vector<std::uint16_t> tokens = counting(40);
  EXPECT_THAT(refusal(bytes_of(tokens), 39),
              AllOf(HasSubstr("token 39 is 39"), HasSubstr("model.vocabulary = 39"), HasSubstr("at least 40")));
  EXPECT_EQ(refusal(bytes_of(tokens), 40), "nothing was refused");
  tokens[7] = 65535;
  EXPECT_THAT(refusal(bytes_of(tokens)), HasSubstr("token 7 is 65535"));
}

}  // namespace
}  // namespace stepscope
