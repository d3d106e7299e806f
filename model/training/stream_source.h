// Rows of a long stream of tokens: training rows begin anywhere in its first nine tenths, validation rows lie side by side in the rest.
//     const StreamSource source(std::make_unique<TokenFile>("train.bin", shape.vocabulary), "train.bin", "tokens", shape);
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "model/training/data_source.h"
#include "model/training/stream_rows.h"
#include "model/training/token_store.h"

namespace stepscope {

class StreamSource final : public DataSource {
 public:
  // Throws UsageError that names the path where the tokens (`units`) are too few for a row of each kind.
  StreamSource(std::unique_ptr<const TokenStore> tokens, const std::string& path, std::string_view units,
               const BatchShape& shape);
  void fill(std::int64_t step, Batch& batch) const override;
  void fill_validation(std::int64_t index, Batch& batch) const override;
  [[nodiscard]] std::int64_t validation_batches() const override { return rows_.validation_batches(); }

 private:
  BatchShape shape_;
  std::unique_ptr<const TokenStore> tokens_;
  StreamRows rows_;
};

}  // namespace stepscope
