// A file of tokens made by another program, two bytes each: nanoGPT's (nothing but uint16) and llm.c's (a header of 256 int32 first:
// magic 20240520, version 1, number of tokens), told apart by the magic.
//     const TokenSource source("train.bin", shape);      // rows begin anywhere; the last tenth is for validation, as of a text
// Rows are read from the file as they are needed, so it may be larger than memory. Tokens must lie below the model's vocabulary:
// files up to 256 MiB are looked through at the start, larger ones row by row. Throws UsageError: a file that is cut off or too
// short, another version, a token outside the vocabulary (with its place).
// Source: nanoGPT data/openwebtext/prepare.py; llm.c dev/data/data_common.py, write_datafile, model "gpt-2". Little-endian.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "model/base/file.h"
#include "model/training/data_source.h"
#include "model/training/stream_rows.h"

namespace stepscope {

// A file of tokens, without rows.
class TokenFile {
 public:
  TokenFile(const std::string& path, std::int64_t vocabulary);
  [[nodiscard]] std::int64_t count() const { return count_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  // Tokens begin .. begin + size - 1.
  void read(std::int64_t begin, std::span<std::int32_t> tokens) const;

 private:
  void check_all() const;

  std::string path_;
  InputFile file_;
  std::int64_t vocabulary_ = 0, first_byte_ = 0, count_ = 0;
};

class TokenSource final : public DataSource {
 public:
  TokenSource(const std::string& path, const BatchShape& shape);
  void fill(std::int64_t step, Batch& batch) const override;
  void fill_validation(std::int64_t index, Batch& batch) const override;
  [[nodiscard]] std::int64_t validation_batches() const override { return rows_.validation_batches(); }
  [[nodiscard]] std::int64_t vocabulary() const override { return shape_.vocabulary; }

 private:
  void copy_row(std::int64_t begin, std::int64_t row, Batch& batch) const;

  BatchShape shape_;
  TokenFile file_;
  StreamRows rows_;
};

}  // namespace stepscope
