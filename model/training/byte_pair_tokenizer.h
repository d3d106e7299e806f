// GPT-2's byte-level byte-pair encoding, for any vocabulary in its two published files: encoder.json (token -> number) with vocab.bpe
// (one merge a line, the first is done first), or the same under Hugging Face's names vocab.json and merges.txt.
//     const BytePairTokenizer tokenizer(byte_pair_files_in("gpt2"));
// A text is cut into words (letters, digits or signs, each with the space before it) and merges stay within a word. Special tokens
// are not looked for: "<|endoftext|>" in a text is text, as in tiktoken's encode_ordinary.
// Source: Sennrich et al. 2016 (arXiv:1508.07909); openai/gpt-2 src/encoder.py for the pattern and for bytes as characters.
// Throws UsageError that names file, line or token; TextError where a text is no UTF-8.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "model/training/tokenizer.h"

namespace stepscope {

struct BytePairFiles {
  std::string vocabulary, merges;
};
[[nodiscard]] BytePairFiles byte_pair_files_in(const std::string& folder);

class BytePairTokenizer final : public Tokenizer {
 public:
  explicit BytePairTokenizer(const BytePairFiles& files);
  ~BytePairTokenizer() override;
  [[nodiscard]] std::int64_t vocabulary() const override { return std::ssize(pieces_); }
  void encode(std::string_view text, std::vector<Token>& tokens) const override;
  [[nodiscard]] std::string decode(std::span<const std::int32_t> tokens) const override;
  [[nodiscard]] std::int32_t start() const override { return start_; }  // <|endoftext|> where the vocabulary has it

 private:
  class Words;
  struct Merge {
    std::int32_t rank;  // the least is done first
    Token whole;
  };

  void read_vocabulary(const std::string& path);
  void read_merges(const std::string& path);
  void add_merge(std::string_view line, const std::string& where);
  [[nodiscard]] Token piece_named(const std::string& bytes, const std::string& where) const;
  [[nodiscard]] const Merge* merge_of(Token left, Token right) const;
  [[nodiscard]] std::vector<Token> merged(std::string_view word) const;

  std::string vocabulary_path_;
  std::vector<std::string> pieces_;  // bytes by token
  std::unordered_map<std::string, Token> tokens_;  // by bytes
  std::vector<Token> of_byte_;  // [256]
  std::unordered_map<std::uint32_t, Merge> merges_;  // by left << 16 | right
  std::int32_t start_ = 0;
  std::unique_ptr<Words> words_;
  mutable std::unordered_map<std::string, std::vector<Token>> known_;  // words met before; one thread encodes
};

}  // namespace stepscope
