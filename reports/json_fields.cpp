#include "reports/json_fields.h"

#include "model/base/file.h"

namespace stepscope {

nlohmann::ordered_json parse_json_file(const std::string& file) {
  const std::string text = read_file(file);
  try {
    return nlohmann::ordered_json::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    throw UsageError(fmt::format("{}: not JSON: byte {}; a file of a run is written whole, so it was changed or cut",
                                 file, error.byte));
  }
}

void require_schema(const nlohmann::ordered_json& json, std::string_view expected, const std::string& file) {
  const auto found = json.is_object() ? json.find("schema") : json.end();
  if (found == json.end())
    throw UsageError(fmt::format("{}: key \"schema\" is missing, expected \"{}\"", file, expected));
  if (*found != expected) {
    throw UsageError(fmt::format("{}: key \"schema\": found {}, expected \"{}\"", file, found->dump(), expected));
  }
}

}  // namespace stepscope
