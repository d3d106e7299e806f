// GPT-2's tokens, held to tiktoken on the same vocabulary (scripts/golden/byte_pairs), and what is said of broken vocabularies.
#include "model/training/byte_pair_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "model/base/error.h"
#include "model/base/file.h"
#include "tests/support/temporary_folder.h"

namespace stepscope {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

const fs::path golden = fs::path(STEPSCOPE_SOURCE_DIR) / "tests/model/training/byte_pairs";

std::vector<Token> tokens_of(const Tokenizer& tokenizer, const std::string& text) {
  std::vector<Token> tokens;
  tokenizer.encode(text, tokens);
  return tokens;
}

std::string back(const Tokenizer& tokenizer, const std::vector<Token>& tokens) {
  return tokenizer.decode(std::vector<std::int32_t>(tokens.begin(), tokens.end()));
}

const BytePairTokenizer& small() {
  static const BytePairTokenizer tokenizer(byte_pair_files_in(golden.string()));
  return tokenizer;
}

TEST(BytePairTokenizer, gives_the_tokens_of_tiktoken) {
  const auto cases = nlohmann::json::parse(std::ifstream(golden / "cases.json"))["cases"];
  ASSERT_GE(cases.size(), 10u);
  for (const auto& given : cases) {
    SCOPED_TRACE(given["name"].get<std::string>());
    const std::string text = given["text"];
    for (int time = 0; time < 2; ++time) {  // the second time words are remembered
      EXPECT_EQ(tokens_of(small(), text), given["tokens"].get<std::vector<Token>>());
    }
    EXPECT_EQ(back(small(), tokens_of(small(), text)), text);
  }
}

// Any bytes that are UTF-8 come back, whatever merges were done; tokens are fewer than bytes where words are known.
TEST(BytePairTokenizer, what_is_decoded_is_what_was_encoded) {
  std::string text;
  for (std::uint32_t i = 1; i < 30000; i += 7) {  // characters of one, two and three bytes
    if (i < 0x80)
      text += static_cast<char>(i);
    else if (i < 0x800)
      text += {static_cast<char>(0xc0 | i >> 6), static_cast<char>(0x80 | (i & 0x3f))};
    else
      text += {static_cast<char>(0xe0 | i >> 12), static_cast<char>(0x80 | (i >> 6 & 0x3f)),
               static_cast<char>(0x80 | (i & 0x3f))};
    if (i % 3 == 0) text += " the light";
  }
  const std::vector<Token> tokens = tokens_of(small(), text);
  EXPECT_EQ(back(small(), tokens), text);
  EXPECT_LT(tokens.size(), text.size());
}

TEST(BytePairTokenizer, a_word_as_long_as_a_text_takes_no_longer_than_its_length) {
  const auto seconds = [](std::size_t bytes) {
    const auto begin = std::chrono::steady_clock::now();
    static_cast<void>(tokens_of(small(), std::string(bytes, 'e')));
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  EXPECT_LT(seconds(1 << 20), 20);  // quadratic work takes hours
}

TEST(BytePairTokenizer, what_is_no_utf8_is_named_with_its_place) {
  for (const auto& [text, place] : {std::pair("abc\xff", "byte 3"), std::pair("\xc3", "byte 0"),
                                    std::pair("a \xe2\x82", "byte 2"), std::pair("ab\xed\xa0\x80", "byte 2")}) {
    try {
      tokens_of(small(), text);
      ADD_FAILURE() << "taken: " << place;
    } catch (const TextError& error) {
      EXPECT_THAT(error.what(), HasSubstr(place));
    }
  }
}

TEST(BytePairTokenizer, starts_after_the_end_of_a_text_and_shows_padded_numbers) {
  EXPECT_EQ(small().start(), 376);  // 256 bytes, 120 merges, then <|endoftext|>
  EXPECT_EQ(small().vocabulary(), 377);
  EXPECT_EQ(small().decode(std::vector<std::int32_t>{72, 376, 400}), "i<|endoftext|><400>");
}

class BrokenVocabulary : public TemporaryFolder {
 protected:
  nlohmann::ordered_json numbers = nlohmann::ordered_json::parse(std::ifstream(golden / "encoder.json"));
  std::string merges = read_file(golden / "vocab.bpe");

  [[nodiscard]] std::string refusal() const { return refusal(numbers.dump()); }
  [[nodiscard]] std::string refusal(const std::string& encoder) const {
    write_atomically(folder / "vocab.json", encoder);
    write_atomically(folder / "merges.txt", merges);
    try {
      const BytePairTokenizer tokenizer(byte_pair_files_in(folder.string()));
      return "nothing was refused";
    } catch (const UsageError& error) {
      return error.what();
    }
  }
};

TEST_F(BrokenVocabulary, under_the_other_names_it_is_the_same) { EXPECT_EQ(refusal(), "nothing was refused"); }

TEST_F(BrokenVocabulary, a_folder_without_files) {
  EXPECT_THROW(static_cast<void>(byte_pair_files_in(folder.string())), UsageError);
  write_atomically(folder / "vocab.json", "{}");
  write_atomically(folder / "vocab.bpe", "");
  try {
    static_cast<void>(make_tokenizer("gpt2:" + folder.string()));
    ADD_FAILURE();
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr(folder.string()), HasSubstr("encoder.json and vocab.bpe"),
                                    HasSubstr("vocab.json and merges.txt")));
  }
}

TEST_F(BrokenVocabulary, numbers_that_are_none) {
  for (const char* text : {"", "{", "[]", "{}", "3", "null"})
    EXPECT_THAT(refusal(text), AllOf(HasSubstr("vocab.json"), HasSubstr("JSON object"))) << text;
  for (const nlohmann::ordered_json& value :
       {nlohmann::ordered_json(-1), nlohmann::ordered_json(377), nlohmann::ordered_json("7"), nlohmann::ordered_json(0),
        nlohmann::ordered_json(1.5), nlohmann::ordered_json(1e300)}) {
    numbers["<|endoftext|>"] = value;
    EXPECT_THAT(refusal(), AllOf(HasSubstr("vocab.json"), HasSubstr(value.dump()), HasSubstr("0 to 376")));
  }
}

TEST_F(BrokenVocabulary, a_byte_without_a_token) {
  const int number = numbers["a"];
  numbers.erase("a");
  numbers["<|endoftext|>"] = number;
  EXPECT_THAT(refusal(), AllOf(HasSubstr("vocab.json"), HasSubstr("byte 0x61")));
}

TEST_F(BrokenVocabulary, too_many_tokens) {
  std::string text = "{\"0\": 0";
  for (int i = 1; i <= 65536; ++i) text += ", \"" + std::to_string(i) + "\": " + std::to_string(i);
  EXPECT_THAT(refusal(text + "}"), AllOf(HasSubstr("vocab.json"), HasSubstr("65536")));
}

TEST_F(BrokenVocabulary, lines_that_are_no_merge) {
  const std::string before = merges;
  for (const char* line : {"one", "a b c", " a", "a ", "a  b"}) {
    merges = before + line + "\n";
    EXPECT_THAT(refusal(), AllOf(HasSubstr("merges.txt:122"), HasSubstr("one space"))) << line;
  }
  merges = before + "q z\n";
  EXPECT_THAT(refusal(), AllOf(HasSubstr("merges.txt:122"), HasSubstr("\"qz\""), HasSubstr("vocab.json")));
}

// GPT-2's own vocabulary is not in the repository; scripts/test --full gets it, and the King James Bible with its verses' numbers.
TEST(BytePairTokenizer, counts_the_king_james_bible_as_tiktoken_does) {
  const char* folder = std::getenv("STEPSCOPE_GPT2_VOCABULARY");
  const char* text = std::getenv("STEPSCOPE_KJV_WITH_VERSES");
  if (folder == nullptr || text == nullptr)
    GTEST_SKIP() << "GPT-2's vocabulary or the text is not here: STEPSCOPE_GPT2_VOCABULARY, STEPSCOPE_KJV_WITH_VERSES";
  const BytePairTokenizer tokenizer(byte_pair_files_in(folder));
  EXPECT_EQ(tokenizer.vocabulary(), 50257);
  EXPECT_EQ(tokenizer.start(), 50256);
  const std::string bible = read_file(text);
  const std::vector<Token> tokens = tokens_of(tokenizer, bible);
  EXPECT_EQ(tokens.size(), 1169600u);
  std::uint64_t fingerprint = 0, i = 0;
  for (const Token token : tokens) fingerprint += ++i * token;
  EXPECT_EQ(fingerprint, 2663582143157084u);  // scripts/golden/byte_pairs --text, tiktoken 0.14.0
  EXPECT_EQ(back(tokenizer, tokens), bible);
}

}  // namespace
}  // namespace stepscope
