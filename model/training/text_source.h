// A text file as tokens: every byte is one, so the vocabulary is 256. The last tenth of the text (at least one row of it) is for validation.
//     const StreamSource source("kjv.txt", shape);   // rows begin anywhere
//     const LineSource source("kjv.txt", shape);     // a row is a line: lengths really differ
// The file is read once and lives in memory. Validation rows come in an order that spreads the first few over the whole tenth.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/training/data_source.h"
#include "model/training/stream_rows.h"

namespace stepscope {

// Training rows begin at random bytes; validation rows lie side by side without overlap.
class StreamSource final : public DataSource {
 public:
  StreamSource(const std::string& path, const BatchShape& shape);
  void fill(std::int64_t step, Batch& batch) const override;
  void fill_validation(std::int64_t index, Batch& batch) const override;
  [[nodiscard]] std::int64_t validation_batches() const override { return rows_.validation_batches(); }
  [[nodiscard]] std::int64_t vocabulary() const override { return 256; }

 private:
  void copy_row(std::int64_t begin, std::int64_t row, Batch& batch) const;

  BatchShape shape_;
  std::string text_;
  StreamRows rows_;
};

// A row holds one line with its newline: a line of n bytes has n tokens and n targets, the last of them the newline. Empty lines are
// skipped, lines longer than a row are cut to it. Training lines are drawn at random.
class LineSource final : public DataSource {
 public:
  LineSource(const std::string& path, const BatchShape& shape);
  void fill(std::int64_t step, Batch& batch) const override;
  void fill_validation(std::int64_t index, Batch& batch) const override;
  [[nodiscard]] std::int64_t validation_batches() const override;
  [[nodiscard]] std::int64_t vocabulary() const override { return 256; }

 private:
  struct Line {
    std::int64_t begin, length;  // bytes, the newline behind them not counted
  };
  void copy_row(const Line& line, std::int64_t row, Batch& batch) const;
  void prepare(Batch& batch) const;

  BatchShape shape_;
  std::string text_;
  std::vector<Line> lines_;
  std::int64_t training_lines_ = 0;
  SpreadOrder validation_;  // of the lines behind them
};

}  // namespace stepscope
