// Where the tokens of a step come from. The batch of step t is a function of (seed, t) alone: a resumed run and any process that trains
// the same cell sees the same tokens, and there is no position to save besides the step.
//     const auto source = make_data_source({.source = "text:kjv.txt"}, {.rows = 8, .sequence = 128, .vocabulary = 256, .seed = 1});
//     Batch batch;
//     source->fill(t, batch);              // allocates in the first call only
// Target j of a row is its token j + 1. A target of -1 is ignored by the loss.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace stepscope {

struct Batch {
  std::vector<std::int32_t> tokens, targets;  // [rows, sequence]
  std::vector<std::int32_t> lengths;  // [rows] where rows are padded (tokens 0, targets -1 from there on), else empty
};

struct DataSettings {
  std::string source = "synthetic";  // or "text:PATH", "tokens:FILE"
  std::string rows = "stream";  // or "lines": one line of the text a row, padded
  std::string tokenizer = "bytes";  // or "gpt2:FOLDER": of a text, and to write samples of tokens as text
};

// The part behind "text:" or "tokens:"; empty where the source has no file.
[[nodiscard]] std::string file_of(const std::string& source);

struct BatchShape {
  std::int64_t rows = 0;
  std::int64_t sequence = 0;
  std::int64_t vocabulary = 0;  // of the model
  std::uint64_t seed = 0;
};

class DataSource {
 public:
  static constexpr std::int64_t endless = std::numeric_limits<std::int64_t>::max();

  virtual ~DataSource() = default;
  virtual void fill(std::int64_t step, Batch& batch) const = 0;
  // Batch `index` of the data that training never sees: the same in every epoch and run; past validation_batches() it starts again.
  virtual void fill_validation(std::int64_t index, Batch& batch) const = 0;
  [[nodiscard]] virtual std::int64_t validation_batches()
      const = 0;  // that pass over that data once; `endless` where it has no end
  [[nodiscard]] virtual std::optional<double> entropy() const {
    return std::nullopt;
  }  // nats a token, where it is known: no loss stays below
};

// Throws UsageError: unknown source or rows, a file that is missing, empty or too short, a model's vocabulary that is too small.
[[nodiscard]] std::unique_ptr<DataSource> make_data_source(const DataSettings& settings, const BatchShape& shape);

}  // namespace stepscope
