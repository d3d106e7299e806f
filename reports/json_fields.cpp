#include "reports/json_fields.h"

#include "model/base/file.h"
#include "model/base/json.h"

namespace stepscope {

nlohmann::ordered_json parse_json_file(const std::string& file) {
  Parsed<nlohmann::ordered_json> parsed = parse_json<nlohmann::ordered_json>(read_file(file));
  if (!parsed.json)
    throw UsageError(
        fmt::format("{}: {}; a file of a run is written whole, so it was changed or cut", file, parsed.why));
  return *std::move(parsed.json);
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
