// JSON that somebody else may have written: values are copied as deep as they are nested, so depth is bounded while it is parsed.
//     const Parsed<nlohmann::ordered_json> parsed = parse_json<nlohmann::ordered_json>(text);   if (!parsed.json) ... parsed.why
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace stepscope {

inline constexpr int deepest_json = 64;

template <class Json>
struct Parsed {
  std::optional<Json> json;
  std::string why;  // where there is none: "is not JSON: byte 17" or "is nested deeper than 64 lists"
};

template <class Json>
[[nodiscard]] Parsed<Json> parse_json(std::string_view text) {
  bool too_deep = false;
  const auto watch = [&](int depth, typename Json::parse_event_t event, const Json&) {
    const bool begins = event == Json::parse_event_t::array_start || event == Json::parse_event_t::object_start;
    too_deep = too_deep || (begins && depth >= deepest_json);
    return !too_deep;
  };
  try {
    Json json = Json::parse(text, watch);
    if (!too_deep) return {std::move(json), ""};
    return {std::nullopt, "is nested deeper than " + std::to_string(deepest_json) + " lists"};
  } catch (const typename Json::parse_error& error) {
    return {std::nullopt, "is not JSON: byte " + std::to_string(error.byte)};
  } catch (const typename Json::exception&) {
    return {std::nullopt, "is not JSON"};
  }
}

}  // namespace stepscope
