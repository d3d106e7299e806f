// A file of tokens made by another program, two bytes each: nanoGPT's (nothing but uint16) and llm.c's (a header of 256 int32 first:
// magic 20240520, version 1, number of tokens), told apart by the magic.
//     const TokenFile tokens("train.bin", model.vocabulary);     tokens.read(begin, row);
// Tokens are read from the file as they are needed, so it may be larger than memory. Tokens must lie below the model's vocabulary:
// files up to 256 MiB are looked through at the start, larger ones as they are read. Throws UsageError: a file that is cut
// off, another version, a token outside the vocabulary (with its place).
// Source: nanoGPT data/openwebtext/prepare.py; llm.c dev/data/data_common.py, write_datafile, model "gpt-2". Little-endian.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "model/base/file.h"
#include "model/training/token_store.h"

namespace stepscope {

class TokenFile final : public TokenStore {
 public:
  TokenFile(const std::string& path, std::int64_t vocabulary);
  [[nodiscard]] std::int64_t count() const override { return count_; }
  void read(std::int64_t begin, std::span<std::int32_t> tokens) const override;

 private:
  void check_all() const;

  std::string path_;
  InputFile file_;
  std::int64_t vocabulary_ = 0, first_byte_ = 0, count_ = 0;
};

}  // namespace stepscope
