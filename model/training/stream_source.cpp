#include "model/training/stream_source.h"

#include <utility>

namespace stepscope {

StreamSource::StreamSource(std::unique_ptr<const TokenStore> tokens, const std::string& path, std::string_view units,
                           const BatchShape& shape)
    : shape_(shape), tokens_(std::move(tokens)), rows_(path, tokens_->count(), units, shape) {}

void StreamSource::fill(std::int64_t step, Batch& batch) const {
  resize(batch, shape_);
  for (std::int64_t row = 0; row < shape_.rows; ++row)
    copy_row(*tokens_, rows_.training(step, row), shape_.sequence, row * shape_.sequence, batch);
}

void StreamSource::fill_validation(std::int64_t index, Batch& batch) const {
  resize(batch, shape_);
  for (std::int64_t row = 0; row < shape_.rows; ++row)
    copy_row(*tokens_, rows_.validation(index, row), shape_.sequence, row * shape_.sequence, batch);
}

}  // namespace stepscope
