// JSON of others: taken where it is whole and shallow, told where it is not.
#include "model/base/json.h"

#include <gtest/gtest.h>

namespace stepscope {
namespace {

using Json = nlohmann::ordered_json;

std::string lists(int depth) {
  return std::string(static_cast<std::size_t>(depth), '[') + std::string(static_cast<std::size_t>(depth), ']');
}

TEST(ParseJson, takes_what_is_nested_up_to_the_bound) {
  EXPECT_EQ(parse_json<Json>(R"({"a": [1, 2]})").json, Json({{"a", {1, 2}}}));
  EXPECT_TRUE(parse_json<Json>(lists(deepest_json)).json);
  EXPECT_EQ(parse_json<Json>(lists(deepest_json + 1)).why, "is nested deeper than 64 lists");
  EXPECT_EQ(parse_json<Json>(lists(1'000'000)).why, "is nested deeper than 64 lists");
}

TEST(OutlineOf, names_a_key_of_the_outermost_object_that_is_there_twice) {
  EXPECT_EQ(outline_of(R"({"a": {"b": 1, "b": 2}, "c": {"a": 1}})", 4).twice, std::nullopt);
  EXPECT_EQ(outline_of(R"({"a": 1, "b": 2, "b": 3, "a": 4})", 4).twice, "b");
}

TEST(ParseJson, names_the_byte_that_is_wrong) {
  EXPECT_EQ(parse_json<Json>("{\"a\": x}").why, "is not JSON: byte 7");
  EXPECT_EQ(parse_json<Json>("").why, "is not JSON: byte 1");
  EXPECT_FALSE(parse_json<Json>("\"\xff\"").json);
}

}  // namespace
}  // namespace stepscope
