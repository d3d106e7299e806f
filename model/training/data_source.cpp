#include "model/training/data_source.h"

#include <fmt/format.h>

#include <string_view>

#include "model/base/error.h"
#include "model/training/synthetic_source.h"
#include "model/training/text_source.h"

namespace stepscope {

std::unique_ptr<DataSource> make_data_source(const DataSettings& settings, const BatchShape& shape) {
  constexpr std::string_view text = "text:";
  const bool lines = settings.rows == "lines";
  if (!lines && settings.rows != "stream")
    throw UsageError(fmt::format("data.rows = \"{}\": known are \"stream\" and \"lines\"", settings.rows));
  if (settings.source == "synthetic") {
    if (lines)
      throw UsageError("data.rows = \"lines\": data.source = \"synthetic\" has no lines, only \"stream\" fits it");
    return std::make_unique<SyntheticSource>(shape);
  }
  if (settings.source.starts_with(text) && settings.source.size() > text.size()) {
    const std::string path = settings.source.substr(text.size());
    if (lines) return std::make_unique<LineSource>(path, shape);
    return std::make_unique<StreamSource>(path, shape);
  }
  throw UsageError(fmt::format("data.source = \"{}\": known are \"synthetic\" and \"text:PATH\"", settings.source));
}

}  // namespace stepscope
