#include "model/training/hf_json.h"

#include "model/base/error.h"
#include "model/base/file.h"
#include "model/base/json.h"

namespace stepscope {

nlohmann::json read_hf_json(const std::filesystem::path& path, std::uint64_t most_bytes) {
  Parsed<nlohmann::json> parsed = parse_json<nlohmann::json>(read_file(path, most_bytes));
  if (!parsed.json) throw UsageError(path.string() + ": " + parsed.why);
  if (!parsed.json->is_object()) throw UsageError(path.string() + ": is not a JSON object");
  return *std::move(parsed.json);
}

}  // namespace stepscope
