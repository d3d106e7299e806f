// Which part of a long stream of tokens a row holds: training rows begin anywhere in the first nine tenths, validation rows lie side
// by side in the last tenth (at least one row of it), in an order that spreads the first few over the whole of it.
//     const StreamRows rows("kjv.txt", size, "bytes", shape);
//     rows.training(step, row);  rows.validation(index, row);     // the first of sequence + 1 tokens
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "model/training/data_source.h"
#include "model/training/token_store.h"

namespace stepscope {

// Each of 0 .. count - 1 once, any few neighbours far apart: multiples of a stride near the golden section of count, coprime to it.
class SpreadOrder {
 public:
  SpreadOrder() = default;
  explicit SpreadOrder(std::int64_t count);
  [[nodiscard]] std::int64_t count() const { return count_; }
  [[nodiscard]] std::int64_t operator[](std::int64_t i) const { return i % count_ * stride_ % count_; }

 private:
  std::int64_t count_ = 1, stride_ = 1;
};

// The last tenth of `count`, at least `least`.
[[nodiscard]] std::int64_t validation_share(std::int64_t count, std::int64_t least);
// Batches that hold so many rows once.
[[nodiscard]] std::int64_t batches_of(std::int64_t rows, const BatchShape& shape);
void resize(Batch& batch, const BatchShape& shape);  // tokens and targets
// Tokens begin .. begin + length - 1 and as targets those one further on, into elements `at` and on.
void copy_row(const TokenStore& tokens, std::int64_t begin, std::int64_t length, std::int64_t at, Batch& batch);

class StreamRows {
 public:
  // Throws UsageError that names the path where `size` units (bytes, tokens) are too few for a row of each kind.
  StreamRows(const std::string& path, std::int64_t size, std::string_view units, const BatchShape& shape);
  [[nodiscard]] std::int64_t training(std::int64_t step, std::int64_t row) const;
  [[nodiscard]] std::int64_t validation(std::int64_t index, std::int64_t row) const;
  [[nodiscard]] std::int64_t validation_batches() const { return batches_of(validation_.count(), shape_); }

 private:
  BatchShape shape_;
  std::int64_t training_size_ = 0;  // validation begins here
  SpreadOrder validation_;  // of its rows
};

}  // namespace stepscope
