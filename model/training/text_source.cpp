#include "model/training/text_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "model/base/error.h"
#include "model/base/file.h"
#include "model/training/data_stream.h"

namespace stepscope {

namespace {

std::string read_text(const std::string& path, const BatchShape& shape) {
  if (shape.vocabulary < 256)
    throw UsageError(
        fmt::format("model.vocabulary = {}: data.source = \"text:{}\" needs 256, one a byte", shape.vocabulary, path));
  std::string text = read_file(path);
  if (text.empty()) throw UsageError(fmt::format("{}: is empty, a text is needed (data.source)", path));
  return text;
}

std::int32_t token_at(const std::string& text, std::int64_t position) {
  return static_cast<unsigned char>(text[static_cast<std::size_t>(position)]);
}

std::span<std::int32_t> row_of(std::vector<std::int32_t>& values, std::int64_t row, std::int64_t sequence) {
  return std::span(values).subspan(static_cast<std::size_t>(row * sequence), static_cast<std::size_t>(sequence));
}

}  // namespace

StreamSource::StreamSource(const std::string& path, const BatchShape& shape)
    : shape_(shape), text_(read_text(path, shape)), rows_(path, std::ssize(text_), "bytes", shape) {}

void StreamSource::copy_row(std::int64_t begin, std::int64_t row, Batch& batch) const {
  const std::span<std::int32_t> tokens = row_of(batch.tokens, row, shape_.sequence);
  const std::span<std::int32_t> targets = row_of(batch.targets, row, shape_.sequence);
  for (std::int64_t j = 0; j < shape_.sequence; ++j) {
    tokens[static_cast<std::size_t>(j)] = token_at(text_, begin + j);
    targets[static_cast<std::size_t>(j)] = token_at(text_, begin + j + 1);
  }
}

void StreamSource::fill(std::int64_t step, Batch& batch) const {
  resize(batch, shape_);
  for (std::int64_t row = 0; row < shape_.rows; ++row) copy_row(rows_.training(step, row), row, batch);
}

void StreamSource::fill_validation(std::int64_t index, Batch& batch) const {
  resize(batch, shape_);
  for (std::int64_t row = 0; row < shape_.rows; ++row) copy_row(rows_.validation(index, row), row, batch);
}

LineSource::LineSource(const std::string& path, const BatchShape& shape)
    : shape_(shape), text_(read_text(path, shape)) {
  if (text_.back() != '\n') text_ += '\n';
  for (std::size_t begin = 0; begin < text_.size();) {
    const std::size_t end = text_.find('\n', begin);
    const bool only_return = end == begin + 1 && text_[begin] == '\r';
    if (end > begin && !only_return)
      lines_.push_back({static_cast<std::int64_t>(begin), static_cast<std::int64_t>(end - begin)});
    begin = end + 1;
  }
  const std::int64_t count = std::ssize(lines_);
  if (count < 2)
    throw UsageError(
        fmt::format("{}: has {} line{} with text, but training and validation need one each (data.rows = \"lines\")",
                    path, count, count == 1 ? "" : "s"));
  training_lines_ = count - validation_share(count, 1);
  validation_ = SpreadOrder(count - training_lines_);
}

void LineSource::copy_row(const Line& line, std::int64_t row, Batch& batch) const {
  const std::int64_t length = std::min(line.length, shape_.sequence);
  const std::span<std::int32_t> tokens = row_of(batch.tokens, row, shape_.sequence);
  const std::span<std::int32_t> targets = row_of(batch.targets, row, shape_.sequence);
  for (std::int64_t j = 0; j < shape_.sequence; ++j) {
    const bool inside = j < length;
    tokens[static_cast<std::size_t>(j)] = inside ? token_at(text_, line.begin + j) : 0;
    targets[static_cast<std::size_t>(j)] = inside ? token_at(text_, line.begin + j + 1) : -1;
  }
  batch.lengths[static_cast<std::size_t>(row)] = static_cast<std::int32_t>(length);
}

void LineSource::prepare(Batch& batch) const {
  resize(batch, shape_);
  batch.lengths.resize(static_cast<std::size_t>(shape_.rows));
}

void LineSource::fill(std::int64_t step, Batch& batch) const {
  const DataStream stream{shape_.seed, DataStream::Use::training};
  prepare(batch);
  for (std::int64_t row = 0; row < shape_.rows; ++row)
    copy_row(lines_[static_cast<std::size_t>(stream.below(training_lines_, step, row))], row, batch);
}

void LineSource::fill_validation(std::int64_t index, Batch& batch) const {
  prepare(batch);
  for (std::int64_t row = 0; row < shape_.rows; ++row) {
    const std::int64_t line = validation_[index % validation_batches() * shape_.rows + row];
    copy_row(lines_[static_cast<std::size_t>(training_lines_ + line)], row, batch);
  }
}

std::int64_t LineSource::validation_batches() const { return batches_of(validation_.count(), shape_); }

}  // namespace stepscope
