// Rows of a text: which bytes training may see, which validation does, and how lines are cut and padded.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <set>
#include <type_traits>

#include "model/base/error.h"
#include "model/base/file.h"
#include "model/training/line_source.h"
#include "model/training/stream_source.h"
#include "tests/support/temporary_folder.h"

namespace stepscope {
namespace {

using testing::ElementsAre;

// By bytes, as they are without a tokenizer.
template <class Source>
Source made(const std::string& path, const BatchShape& shape) {
  const auto bytes = make_tokenizer("bytes");
  if constexpr (std::is_same_v<Source, StreamSource>)
    return {std::make_unique<TextTokens>(*bytes, path), path, "bytes", shape};
  else
    return {*bytes, path, shape};
}

class TextRows : public TemporaryFolder {
 protected:
  [[nodiscard]] std::string file(const std::string& text) const {
    write_atomically(folder / "t", text);
    return (folder / "t").string();
  }
  template <class Source>
  [[nodiscard]] std::string refusal(const std::string& path, std::int64_t sequence) const {
    try {
      static_cast<void>(made<Source>(path, shape(1, sequence)));
    } catch (const UsageError& error) {
      return error.what();
    }
    return "nothing was refused";
  }
  [[nodiscard]] static BatchShape shape(std::int64_t rows, std::int64_t sequence) {
    return {.rows = rows, .sequence = sequence, .vocabulary = 256, .seed = 3};
  }
};

std::vector<std::int32_t> bytes(const std::string& text) {
  std::vector<std::int32_t> values;
  for (const char c : text) values.push_back(static_cast<unsigned char>(c));
  return values;
}

// Byte i of the text is i mod 251, so a pair of neighbours tells where it lies within 251 bytes.
std::string counting(std::size_t size) {
  std::string text;
  for (std::size_t i = 0; i < size; ++i) text += static_cast<char>(i % 251);
  return text;
}

TEST_F(TextRows, training_sees_the_first_nine_tenths_and_all_of_them) {
  const auto source = made<StreamSource>(file(counting(200)), shape(4, 5));
  std::set<std::int32_t> tokens, targets;
  Batch batch;
  for (std::int64_t step = 0; step < 1000; ++step) {
    source.fill(step, batch);
    tokens.insert(batch.tokens.begin(), batch.tokens.end());
    targets.insert(batch.targets.begin(), batch.targets.end());
  }
  EXPECT_EQ(tokens.size(), 179u);  // 0 .. 178
  EXPECT_EQ(*tokens.rbegin(), 178);
  EXPECT_EQ(targets.size(), 179u);  // 1 .. 179: the last byte of training
  EXPECT_EQ(*targets.rbegin(), 179);
  EXPECT_TRUE(batch.lengths.empty());
}

TEST_F(TextRows, validation_goes_through_the_last_tenth_once) {
  const auto source =
      made<StreamSource>(file(counting(210)), shape(2, 5));  // bytes 189 .. 209: four rows of five tokens
  EXPECT_EQ(source.validation_batches(), 2);
  std::map<std::int32_t, std::vector<std::int32_t>> rows;  // by their first token
  Batch batch;
  for (std::int64_t index = 0; index < 2; ++index) {
    source.fill_validation(index, batch);
    for (auto row = batch.tokens.begin(); row != batch.tokens.end(); row += 5) rows[*row] = {row, row + 5};
  }
  std::vector<std::int32_t> tokens;
  for (const auto& [first, row] : rows) tokens.insert(tokens.end(), row.begin(), row.end());
  EXPECT_EQ(tokens, bytes(counting(210).substr(189, 20)));
}

TEST_F(TextRows, validation_ends_before_a_row_without_its_last_target) {
  EXPECT_EQ(made<StreamSource>(file(counting(200)), shape(1, 5)).validation_batches(),
            3);  // 20 bytes: the fourth row lacks one
  EXPECT_EQ(made<StreamSource>(file(counting(210)), shape(1, 5)).validation_batches(), 4);  // 21 bytes
}

TEST(SpreadOrder, meets_each_once_and_the_first_few_are_far_apart) {
  for (std::int64_t count = 1; count <= 200; ++count) {
    const SpreadOrder order(count);
    std::set<std::int64_t> met, begin;
    for (std::int64_t i = 0; i < count; ++i) met.insert(order[i]);
    EXPECT_EQ(std::ssize(met), count);
    EXPECT_EQ(*met.rbegin(), count - 1);
    EXPECT_EQ(order[count], order[0]);
    if (count < 100) continue;
    for (std::int64_t i = 0; i < 16; ++i) begin.insert(order[i] * 4 / count);
    EXPECT_EQ(begin.size(), 4u) << count;  // sixteen rows meet every quarter
  }
}

TEST_F(TextRows, bytes_above_127_are_positive_tokens) {
  const auto source = made<StreamSource>(file(std::string(100, '\xff')), shape(1, 4));
  Batch batch;
  source.fill(0, batch);
  EXPECT_THAT(batch.tokens, ElementsAre(255, 255, 255, 255));
}

TEST_F(TextRows, the_shortest_text_is_two_rows) {
  const auto source = made<StreamSource>(file("abcdeABCDE"), shape(1, 4));
  Batch batch;
  source.fill(9, batch);
  EXPECT_EQ(batch.tokens, bytes("abcd"));
  EXPECT_EQ(batch.targets, bytes("bcde"));
  source.fill_validation(0, batch);
  EXPECT_EQ(batch.tokens, bytes("ABCD"));
  EXPECT_EQ(refusal<StreamSource>(file("abcdeABCD"), 4),
            (folder / "t").string() +
                ": holds 9 bytes, but training and validation need 5 each (training.sequence = 4, and one more)");
}

TEST_F(TextRows, refusals_name_the_file) {
  const std::string path = (folder / "t").string();
  EXPECT_EQ(refusal<StreamSource>(file(""), 4), path + ": is empty, a text is needed (data.source)");
  EXPECT_EQ(refusal<LineSource>(file("one line\n\n"), 4),
            path + ": has 1 line with text, but training and validation need one each (data.rows = \"lines\")");
  EXPECT_EQ(refusal<LineSource>(file("\n\n"), 4),
            path + ": has 0 lines with text, but training and validation need one each (data.rows = \"lines\")");
  EXPECT_EQ(refusal<StreamSource>(folder.string(), 4), folder.string() + ": is a folder, a file is needed");
  EXPECT_EQ(refusal<LineSource>(path + "x", 4), path + "x: there is no such file");
}

// A line of n bytes has n tokens; its newline is the last target, also where the file ends without one.
TEST_F(TextRows, lines_are_padded_and_cut) {
  const auto source = made<LineSource>(file("ab\n\n\r\nabcdefg\nxy"), shape(1, 4));
  std::map<std::int32_t, Batch> by_first;
  Batch batch;
  for (std::int64_t step = 0; step < 40; ++step) {
    source.fill(step, batch);
    by_first[batch.lengths[0]] = batch;
  }
  ASSERT_EQ(by_first.size(), 2u);  // the third line is held out, empty ones are none
  EXPECT_THAT(by_first[2].tokens, ElementsAre('a', 'b', 0, 0));
  EXPECT_THAT(by_first[2].targets, ElementsAre('b', '\n', -1, -1));
  EXPECT_THAT(by_first[4].tokens, ElementsAre('a', 'b', 'c', 'd'));
  EXPECT_THAT(by_first[4].targets, ElementsAre('b', 'c', 'd', 'e'));
  source.fill_validation(5, batch);
  EXPECT_THAT(batch.tokens, ElementsAre('x', 'y', 0, 0));
  EXPECT_THAT(batch.targets, ElementsAre('y', '\n', -1, -1));
}

TEST_F(TextRows, a_tenth_of_the_lines_is_held_out) {
  std::string text;
  for (int line = 0; line < 50; ++line) text += std::string(static_cast<std::size_t>(line + 1), 'x') + "\n";
  const auto source = made<LineSource>(file(text), shape(2, 64));
  EXPECT_EQ(source.validation_batches(), 3);  // five lines in batches of two
  Batch batch;
  std::vector<std::int32_t> lengths;
  for (std::int64_t index = 0; index < 3; ++index) {
    source.fill_validation(index, batch);
    lengths.insert(lengths.end(), batch.lengths.begin(), batch.lengths.end());
  }
  EXPECT_EQ(lengths.back(), lengths.front());  // the last batch is filled up from the beginning
  lengths.pop_back();
  EXPECT_THAT(lengths, testing::UnorderedElementsAre(46, 47, 48, 49, 50));
  std::set<std::int32_t> trained;
  for (std::int64_t step = 0; step < 1000; ++step) {
    source.fill(step, batch);
    trained.insert(batch.lengths.begin(), batch.lengths.end());
  }
  EXPECT_EQ(trained.size(), 45u);
  EXPECT_EQ(*trained.rbegin(), 45);
}

}  // namespace
}  // namespace stepscope
