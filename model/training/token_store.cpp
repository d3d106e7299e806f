#include "model/training/token_store.h"

#include <fmt/format.h>

#include <algorithm>

#include "model/base/error.h"
#include "model/base/file.h"

namespace stepscope {

std::string read_text(const std::string& path) {
  std::string text = read_file(path);
  if (text.empty()) throw UsageError(fmt::format("{}: is empty, a text is needed (data.source)", path));
  return text;
}

TextTokens::TextTokens(const Tokenizer& tokenizer, const std::string& path) {
  try {
    append(tokenizer, read_text(path));
  } catch (const TextError& error) {
    throw UsageError(fmt::format("{}: {}", path, error.what()));
  }
}

std::int64_t TextTokens::append(const Tokenizer& tokenizer, std::string_view text) {
  const std::int64_t before = count();
  tokenizer.encode(text, tokens_);
  return count() - before;
}

void TextTokens::read(std::int64_t begin, std::span<std::int32_t> tokens) const {
  std::copy_n(tokens_.begin() + begin, tokens.size(), tokens.begin());
}

}  // namespace stepscope
