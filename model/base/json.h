// JSON that somebody else may have written: values are copied as deep as they are nested, so depth is bounded before it is parsed.
// Takes time in proportion to the text, whatever it is.
//     const Parsed<nlohmann::ordered_json> parsed = parse_json<nlohmann::ordered_json>(text);   if (!parsed.json) ... parsed.why
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace stepscope {

inline constexpr int deepest_json = 64;

struct JsonOutline {
  bool too_deep = false;  // what follows was not read then
  std::optional<std::size_t> wrong_byte;  // where it is no JSON
  std::optional<std::string> twice;  // the first key of the outermost object that is there again
};
[[nodiscard]] JsonOutline outline_of(std::string_view text, int deepest);

template <class Json>
struct Parsed {
  std::optional<Json> json;
  std::string why;  // where there is none: "is not JSON: byte 17" or "is nested deeper than 64 lists"
};

template <class Json>
[[nodiscard]] Parsed<Json> parse_json(std::string_view text) {
  try {
    const JsonOutline outline = outline_of(text, deepest_json);
    if (outline.too_deep) return {std::nullopt, "is nested deeper than " + std::to_string(deepest_json) + " lists"};
    if (outline.wrong_byte) return {std::nullopt, "is not JSON: byte " + std::to_string(*outline.wrong_byte)};
    return {Json::parse(text), ""};
  } catch (const typename Json::exception&) {
    return {std::nullopt, "is not JSON"};
  }
}

}  // namespace stepscope
