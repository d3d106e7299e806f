// A long stream of tokens, wherever they lie: in memory after a text was read, or in a file.
//     const TextTokens tokens(tokenizer, "kjv.txt");     std::vector<std::int32_t> row(128);     tokens.read(begin, row);
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "model/training/tokenizer.h"

namespace stepscope {

class TokenStore {
 public:
  virtual ~TokenStore() = default;
  [[nodiscard]] virtual std::int64_t count() const = 0;
  // Tokens begin .. begin + size - 1.
  virtual void read(std::int64_t begin, std::span<std::int32_t> tokens) const = 0;
};

// Throws UsageError that names the path: unreadable, empty.
[[nodiscard]] std::string read_text(const std::string& path);

class TextTokens final : public TokenStore {
 public:
  TextTokens() = default;
  TextTokens(const Tokenizer& tokenizer, const std::string& path);  // a whole text
  // Another piece, by itself: no token reaches across its borders. Gives the number of its tokens.
  std::int64_t append(const Tokenizer& tokenizer, std::string_view text);
  [[nodiscard]] std::int64_t count() const override { return std::ssize(tokens_); }
  void read(std::int64_t begin, std::span<std::int32_t> tokens) const override;

 private:
  std::vector<Token> tokens_;
};

}  // namespace stepscope
