#include "model/training/tokenizer.h"

#include <fmt/format.h>

#include "model/base/error.h"
#include "model/training/byte_pair_tokenizer.h"

namespace stepscope {

namespace {

constexpr std::string_view gpt2 = "gpt2:";

// Every byte is a token.
class ByteTokenizer final : public Tokenizer {
 public:
  [[nodiscard]] std::int64_t vocabulary() const override { return 256; }
  void encode(std::string_view text, std::vector<Token>& tokens) const override {
    tokens.reserve(tokens.size() + text.size());
    for (const char c : text) tokens.push_back(static_cast<unsigned char>(c));
  }
  [[nodiscard]] std::string decode(std::span<const std::int32_t> tokens) const override {
    std::string text;
    for (const std::int32_t token : tokens) text += static_cast<char>(token);
    return text;
  }
  [[nodiscard]] std::int32_t start() const override { return 0; }
};

}  // namespace

std::string vocabulary_folder_of(const std::string& tokenizer) {
  return tokenizer.starts_with(gpt2) ? tokenizer.substr(gpt2.size()) : "";
}

std::vector<std::string> files_of_tokenizer(const std::string& tokenizer) {
  const std::string folder = vocabulary_folder_of(tokenizer);
  if (folder.empty()) return {};
  const BytePairFiles files = byte_pair_files_in(folder);
  return {files.vocabulary, files.merges};
}

std::unique_ptr<Tokenizer> make_tokenizer(const std::string& tokenizer) {
  if (tokenizer == "bytes") return std::make_unique<ByteTokenizer>();
  const std::string folder = vocabulary_folder_of(tokenizer);
  if (folder.empty())
    throw UsageError(fmt::format("data.tokenizer = \"{}\": known are \"bytes\" and \"gpt2:FOLDER\"", tokenizer));
  return std::make_unique<BytePairTokenizer>(byte_pair_files_in(folder));
}

}  // namespace stepscope
