#include "model/training/hf_json.h"

#include <string>

#include "model/base/error.h"
#include "model/base/file.h"

namespace stepscope {

nlohmann::ordered_json read_hf_json(const std::filesystem::path& path, std::uint64_t most_bytes) {
  using Json = nlohmann::ordered_json;
  constexpr int deepest = 32;
  bool too_deep = false;
  const auto watch = [&](int depth, Json::parse_event_t event, const Json&) {
    const bool begins = event == Json::parse_event_t::array_start || event == Json::parse_event_t::object_start;
    too_deep = too_deep || (begins && depth > deepest);
    return !too_deep;
  };
  Json json;
  try {
    json = Json::parse(read_file(path, most_bytes), watch);
  } catch (const Json::exception&) {
    throw UsageError(path.string() + ": is not JSON");
  }
  if (too_deep) throw UsageError(path.string() + ": is nested deeper than " + std::to_string(deepest) + " lists");
  if (!json.is_object()) throw UsageError(path.string() + ": is not a JSON object");
  return json;
}

}  // namespace stepscope
