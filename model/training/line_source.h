// Rows of a text that are its lines, so that lengths really differ: padded, or cut to a row.
//     const LineSource source(*make_tokenizer("bytes"), "kjv.txt", shape);
// A line with its newline gives n + 1 tokens, so n tokens and n targets, the last of them the newline. Empty lines are skipped.
// The last tenth of the lines is for validation, in an order that spreads the first few over all of it; the others are drawn at random.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/training/data_source.h"
#include "model/training/stream_rows.h"
#include "model/training/token_store.h"

namespace stepscope {

class LineSource final : public DataSource {
 public:
  LineSource(const Tokenizer& tokenizer, const std::string& path, const BatchShape& shape);
  void fill(std::int64_t step, Batch& batch) const override;
  void fill_validation(std::int64_t index, Batch& batch) const override;
  [[nodiscard]] std::int64_t validation_batches() const override;

 private:
  struct Line {
    std::int64_t begin, length;  // tokens; the last one, of the newline, is not counted
  };
  void copy_row(const Line& line, std::int64_t row, Batch& batch) const;
  void prepare(Batch& batch) const;

  BatchShape shape_;
  TextTokens tokens_;
  std::vector<Line> lines_;
  std::int64_t training_lines_ = 0;
  SpreadOrder validation_;  // of the lines behind them
};

}  // namespace stepscope
