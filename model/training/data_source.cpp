#include "model/training/data_source.h"

#include <fmt/format.h>

#include <string_view>

#include "model/base/error.h"
#include "model/training/synthetic_source.h"
#include "model/training/text_source.h"
#include "model/training/token_source.h"

namespace stepscope {

namespace {
constexpr std::string_view text = "text:", tokens = "tokens:";
}

std::string file_of(const std::string& source) {
  for (const std::string_view kind : {text, tokens})
    if (source.starts_with(kind)) return source.substr(kind.size());
  return "";
}

std::unique_ptr<DataSource> make_data_source(const DataSettings& settings, const BatchShape& shape) {
  const bool lines = settings.rows == "lines";
  if (!lines && settings.rows != "stream")
    throw UsageError(fmt::format("data.rows = \"{}\": known are \"stream\" and \"lines\"", settings.rows));
  const std::string path = file_of(settings.source);
  const bool is_text = settings.source.starts_with(text);
  if (path.empty() && settings.source != "synthetic")
    throw UsageError(fmt::format("data.source = \"{}\": known are \"synthetic\", \"text:PATH\" and \"tokens:FILE\"",
                                 settings.source));
  if (lines && !is_text)
    throw UsageError(fmt::format("data.rows = \"lines\": data.source = \"{}\" has no lines, only \"stream\" fits it",
                                 settings.source));
  if (lines) return std::make_unique<LineSource>(path, shape);
  if (is_text) return std::make_unique<StreamSource>(path, shape);
  if (!path.empty()) return std::make_unique<TokenSource>(path, shape);
  return std::make_unique<SyntheticSource>(shape);
}

}  // namespace stepscope
