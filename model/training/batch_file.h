// A batch, a mask or weights that a person hands over in a safetensors file, checked before anything is built from it.
//     const BatchFile file = read_batch_file("batch.safetensors");    // tokens, targets [B, S]; lengths [B], mask [B|1, heads|1, S, S] if given
//     const GivenBatch source(file, vocabulary);                       // the same batch in every step
// Every mistake is a UsageError of one line that names the file and the tensor.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "model/execution/executor.h"
#include "model/training/data_source.h"
#include "model/training/safetensors.h"

namespace stepscope {

struct BatchFile {
  std::string path;
  std::int64_t rows = 0, sequence = 0;
  Batch batch = {};  // targets past a length are -1
  std::optional<NamedTensor> mask = {};  // u8, 1 = visible
};

[[nodiscard]] BatchFile read_batch_file(const std::filesystem::path& path);

// The tensor `mask` of a file: u8, four axes, the last two equal, every element 0 or 1.
[[nodiscard]] NamedTensor read_mask_file(const std::filesystem::path& path);

class GivenBatch final : public DataSource {
 public:
  GivenBatch(const BatchFile& file, std::int64_t vocabulary);  // refuses tokens and targets outside the vocabulary
  void fill(std::int64_t /*step*/, Batch& batch) const override { batch = batch_; }
  void fill_validation(std::int64_t /*index*/, Batch& batch) const override { batch = batch_; }
  [[nodiscard]] std::int64_t validation_batches() const override { return 1; }

 private:
  Batch batch_;
  std::int64_t vocabulary_;
};

// Parameters from a file: every one of the program's, no other, fp32, finite.
void load_weights(const Program& program, Executor& executor, const std::filesystem::path& path);

}  // namespace stepscope
