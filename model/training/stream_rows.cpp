#include "model/training/stream_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <span>

#include "model/base/error.h"
#include "model/training/data_stream.h"

namespace stepscope {

SpreadOrder::SpreadOrder(std::int64_t count) : count_(count) {
  stride_ = std::max<std::int64_t>(1, static_cast<std::int64_t>(0.6180339887498949 * static_cast<double>(count)));
  while (std::gcd(stride_, count) != 1) ++stride_;
}

std::int64_t validation_share(std::int64_t count, std::int64_t least) { return std::max(count / 10, least); }

std::int64_t batches_of(std::int64_t rows, const BatchShape& shape) { return (rows + shape.rows - 1) / shape.rows; }

void resize(Batch& batch, const BatchShape& shape) {
  const auto elements = static_cast<std::size_t>(shape.rows * shape.sequence);
  batch.tokens.resize(elements);
  batch.targets.resize(elements);
}

// All targets but the last are in the row already.
void copy_row(const TokenStore& stored, std::int64_t begin, std::int64_t length, std::int64_t at, Batch& batch) {
  const auto first = static_cast<std::size_t>(at), size = static_cast<std::size_t>(length);
  const std::span<std::int32_t> tokens = std::span(batch.tokens).subspan(first, size);
  const std::span<std::int32_t> targets = std::span(batch.targets).subspan(first, size);
  stored.read(begin + 1, targets);
  stored.read(begin, tokens.first(1));
  std::copy(targets.begin(), targets.end() - 1, tokens.begin() + 1);
}

StreamRows::StreamRows(const std::string& path, std::int64_t size, std::string_view units, const BatchShape& shape)
    : shape_(shape) {
  const std::int64_t row = shape.sequence + 1;
  if (size < 2 * row)
    throw UsageError(
        fmt::format("{}: holds {} {}, but training and validation need {} each (training.sequence = {}, and one more)",
                    path, size, units, row, shape.sequence));
  training_size_ = size - validation_share(size, row);
  // The last token of a row is the first of the next: only its target lies behind the row.
  validation_ = SpreadOrder((size - training_size_ - 1) / shape.sequence);
}

std::int64_t StreamRows::training(std::int64_t step, std::int64_t row) const {
  const DataStream stream{shape_.seed, DataStream::Use::training};
  return stream.below(training_size_ - shape_.sequence, step, row);
}

std::int64_t StreamRows::validation(std::int64_t index, std::int64_t row) const {
  const std::int64_t window = validation_[index % validation_batches() * shape_.rows + row];
  return training_size_ + window * shape_.sequence;
}

}  // namespace stepscope
