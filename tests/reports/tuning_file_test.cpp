// tuning.json: read as it was written, and every broken one refused by its key.
#include "reports/tuning_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "model/base/error.h"
#include "model/base/file.h"
#include "tests/support/temporary_folder.h"

namespace stepscope::testing {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

namespace {

TuningFile two_cards() {
  TuningFile file;
  MatmulTuning tuning{.card = "GPU-aa", .library = 130100};
  tuning.choices["bf16 > bf16 1 x 2 x 3"] = {.algorithm = {1, 2, 0xffff'ffff'ffff'ffff, 0, 0, 0, 0, 8},
                                             .workspace_bytes = 4096,
                                             .split_k = 3,
                                             .rank = 1,
                                             .tried = 5,
                                             .median_ns = 1234.5,
                                             .first_ns = 1500};
  tuning.choices["bf16 > fp32 1 x 2 x 3"] = {.median_ns = 7, .first_ns = 7};
  file.put(tuning);
  tuning.card = "GPU-bb";
  file.put(tuning);
  return file;
}

class TuningFileTest : public TemporaryFolder {
 protected:
  std::filesystem::path path() const { return folder / "tuning.json"; }

  std::string refusal(const std::function<void(Json&)>& spoil) {
    write_tuning(path(), two_cards());
    Json json = Json::parse(read_file(path()));
    spoil(json);
    std::ofstream(path()) << json.dump();
    try {
      (void)read_tuning(path());
    } catch (const UsageError& error) {
      return error.what();
    }
    return "read";
  }
};

}  // namespace

TEST_F(TuningFileTest, is_read_as_it_was_written) {
  write_tuning(path(), two_cards());
  const TuningFile back = read_tuning(path());
  ASSERT_EQ(back.cards.size(), 2U);
  const MatmulTuning* card = back.of("GPU-bb", 130100);
  ASSERT_NE(card, nullptr);
  ASSERT_EQ(card->choices.size(), 2U);
  const MatmulChoice& choice = card->choices.at("bf16 > bf16 1 x 2 x 3");
  const MatmulChoice expected = two_cards().cards[0].choices.at("bf16 > bf16 1 x 2 x 3");
  EXPECT_EQ(choice.algorithm, expected.algorithm);
  EXPECT_EQ(choice.workspace_bytes, 4096);
  EXPECT_EQ(choice.split_k, 3);
  EXPECT_EQ(choice.rank, 1);
  EXPECT_EQ(choice.tried, 5);
  EXPECT_EQ(choice.median_ns, 1234.5);
  EXPECT_EQ(choice.first_ns, 1500);
}

TEST_F(TuningFileTest, knows_a_card_by_its_number_and_library) {
  TuningFile file = two_cards();
  EXPECT_EQ(file.of("GPU-cc", 130100), nullptr);
  EXPECT_EQ(file.of("GPU-aa", 130200), nullptr);
  file.put({.card = "GPU-aa", .library = 130100});  // in the place of the other
  EXPECT_EQ(file.cards.size(), 2U);
  EXPECT_TRUE(file.of("GPU-aa", 130100)->choices.empty());
}

TEST_F(TuningFileTest, that_is_broken_is_one_line_with_its_key) {
  EXPECT_EQ(refusal([](Json&) {}), "read");
  const auto spoilt = [&](const char* key, const Json& value) {
    return refusal([&](Json& json) { json["cards"][1]["matmuls"][0][key] = value; });
  };
  const std::string at = "tuning.json: key \"cards.1.matmuls.0.";
  const std::vector<std::pair<const char*, Json>> wrong{
      {"algorithm", {"0x1"}},
      {"algorithm", Json(std::vector<std::string>(8, "12"))},
      {"algorithm", Json(std::vector<std::string>(8, "0xg"))},
      {"algorithm", Json(std::vector<std::string>(8, "0x11112222333344445"))},
      {"workspace_bytes", -1},
      {"workspace_bytes", std::int64_t{1} << 40},
      {"split_k", 0},
      {"rank", -1},
      {"rank", 5},
      {"tried", 0},
      {"median_ns", 0},
      {"median_ns", nullptr},
      {"first_ns", 1e300},
      {"signature", ""},
      {"signature", 3},
      {"split_k", "two"}};
  for (const auto& [key, value] : wrong)
    EXPECT_THAT(spoilt(key, value), AllOf(HasSubstr(at + key), HasSubstr("expected"))) << key << " " << value;
  EXPECT_THAT(spoilt("signature", "bf16 > fp32 1 x 2 x 3"), HasSubstr("each matmul once"));
  EXPECT_THAT(refusal([](Json& json) { json["schema"] = "stepscope.tuning/9"; }), HasSubstr("stepscope.tuning/1"));
  EXPECT_THAT(refusal([](Json& json) { json["cards"][0].erase("library"); }),
              HasSubstr("cards.0.library\" is missing"));
  EXPECT_THAT(refusal([](Json& json) { json["cards"][0]["library"] = 0; }), HasSubstr("130100"));
  EXPECT_THAT(refusal([](Json& json) { json["cards"][0]["card"] = ""; }), HasSubstr("UUID"));
  EXPECT_THAT(refusal([](Json& json) { json["cards"][0]["card"] = "GPU-bb"; }), HasSubstr("each card once"));
  std::ofstream(path()) << "{";
  EXPECT_THROW((void)read_tuning(path()), UsageError);
}

}  // namespace stepscope::testing
