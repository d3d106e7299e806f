#include "model/training/line_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "model/base/error.h"
#include "model/training/data_stream.h"

namespace stepscope {

LineSource::LineSource(const Tokenizer& tokenizer, const std::string& path, const BatchShape& shape) : shape_(shape) {
  std::string text = read_text(path);
  if (text.back() != '\n') text += '\n';
  std::int64_t line_number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin) + 1;
    const std::string_view line = std::string_view(text).substr(begin, end - begin);
    begin = end, ++line_number;
    if (line == "\n" || line == "\r\n") continue;
    const std::int64_t first = tokens_.count();
    try {
      const std::int64_t length = tokens_.append(tokenizer, line) - 1;
      if (length > 0) lines_.push_back({first, length});  // spaces and their newline may be one token
    } catch (const TextError& error) {
      throw UsageError(fmt::format("{}:{}: {}", path, line_number, error.what()));
    }
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
  stepscope::copy_row(tokens_, line.begin, length, row * shape_.sequence, batch);
  const auto begin = row * shape_.sequence + length, end = (row + 1) * shape_.sequence;
  std::fill(batch.tokens.begin() + begin, batch.tokens.begin() + end, 0);
  std::fill(batch.targets.begin() + begin, batch.targets.begin() + end, -1);
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
