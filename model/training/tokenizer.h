// Text to tokens and back: the key data.tokenizer.
//     const auto tokenizer = make_tokenizer("bytes");            // or "gpt2:FOLDER"
//     std::vector<Token> tokens;   tokenizer->encode("In the beginning", tokens);   tokenizer->decode(...)
// A token takes two bytes, as in nanoGPT's and llm.c's files: vocabularies of up to 65,536.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace stepscope {

using Token = std::uint16_t;

// What is wrong with a text and where in it, without the name of its file.
struct TextError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  [[nodiscard]] virtual std::int64_t vocabulary() const = 0;  // tokens are in [0, vocabulary)
  virtual void encode(std::string_view text, std::vector<Token>& tokens) const = 0;  // appends
  [[nodiscard]] virtual std::string decode(std::span<const std::int32_t> tokens) const = 0;
  [[nodiscard]] virtual std::int32_t start() const = 0;  // what a text without a prompt begins after
};

// "gpt2:FOLDER": the FOLDER; else empty.
[[nodiscard]] std::string vocabulary_folder_of(const std::string& tokenizer);
// The files that a tokenizer is read from; none for "bytes". Throws UsageError: a FOLDER without them.
[[nodiscard]] std::vector<std::string> files_of_tokenizer(const std::string& tokenizer);
// Throws UsageError: another name, files that are missing or broken.
[[nodiscard]] std::unique_ptr<Tokenizer> make_tokenizer(const std::string& tokenizer);

}  // namespace stepscope
