#include "model/training/data_source.h"

#include <fmt/format.h>

#include <string_view>

#include "model/base/error.h"
#include "model/training/line_source.h"
#include "model/training/stream_source.h"
#include "model/training/synthetic_source.h"
#include "model/training/token_file.h"
#include "model/training/tokenizer.h"

namespace stepscope {

namespace {

constexpr std::string_view text = "text:", tokens = "tokens:";

std::unique_ptr<DataSource> text_source(const std::string& path, const DataSettings& settings,
                                        const BatchShape& shape) {
  const std::unique_ptr<Tokenizer> tokenizer = make_tokenizer(settings.tokenizer);
  if (shape.vocabulary < tokenizer->vocabulary())
    throw UsageError(fmt::format("model.vocabulary = {}: data.tokenizer = \"{}\" needs {}", shape.vocabulary,
                                 settings.tokenizer, tokenizer->vocabulary()));
  if (settings.rows == "lines") return std::make_unique<LineSource>(*tokenizer, path, shape);
  const std::string_view units = settings.tokenizer == "bytes" ? "bytes" : "tokens";
  return std::make_unique<StreamSource>(std::make_unique<TextTokens>(*tokenizer, path), path, units, shape);
}

}  // namespace

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
  if (is_text) return text_source(path, settings, shape);
  if (!path.empty())
    return std::make_unique<StreamSource>(std::make_unique<TokenFile>(path, shape.vocabulary), path, "tokens", shape);
  return std::make_unique<SyntheticSource>(shape);
}

}  // namespace stepscope
