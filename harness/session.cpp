#include "harness/session.h"

#include <fmt/format.h>

#include "harness/planned.h"
#include "model/base/error.h"
#include "model/base/file.h"
#include "model/base/hash.h"

namespace stepscope {

namespace {

Schedule schedule_of(const TrainingSettings& training, std::int64_t steps) {
  return schedule_named(training.schedule, training.learning_rate, training.learning_rate_warmup,
                        training.steps > 0 ? training.steps : steps);
}

}  // namespace

std::unique_ptr<DataSource> data_source_of(const MatrixCell& cell) {
  const Configuration& c = cell.configuration;
  try {
    return make_data_source(c.data, {.rows = c.training.global_batch,
                                     .sequence = c.training.sequence,
                                     .vocabulary = c.model.vocabulary,
                                     .seed = c.training.seed});
  } catch (const UsageError& error) {
    throw UsageError(cell.given ? located(error.what(), *cell.given, "source") : error.what());
  }
}

std::string mask_file_of(const ModelSettings& model) {
  for (const std::string& mask : model.mask)
    if (mask.starts_with("custom:")) return mask.substr(7);
  return "";
}

std::string file_hashes(const Configuration& configuration) {
  std::string text;
  const auto add_file = [&](const char* key, const std::string& path) {
    if (!path.empty()) text += fmt::format("{} = {}\n", key, hexadecimal(hash_of(read_file(path))));
  };
  const std::string& source = configuration.data.source;
  add_file("data.text_hash", source.starts_with("text:") ? source.substr(5) : "");
  add_file("model.mask_hash", mask_file_of(configuration.model));
  return text;
}

Session::Session(const MatrixCell& cell, const Machine& machine, const SessionOptions& options) : cell_(cell) {
  const Configuration& c = cell.configuration;
  source_ = options.batch != nullptr ? std::make_unique<GivenBatch>(*options.batch, c.model.vocabulary)
                                     : data_source_of(cell);
  step_ = build_cell_step(cell, machine);
  executor_ = std::make_unique<CpuExecutor>(step_.program, step_.plan, machine);
  executor_->initialise(c.training.seed);
  load_mask(options);
  trainer_ =
      std::make_unique<Trainer>(step_.program, *executor_, *source_, schedule_of(c.training, options.schedule_steps));
}

void Session::load_mask(const SessionOptions& options) {
  const std::string file = mask_file_of(cell_.configuration.model);
  if (file.empty()) return;
  const bool from_batch = options.batch != nullptr && options.batch->mask && options.batch->path == file;
  const NamedTensor mask = from_batch ? *options.batch->mask : read_mask_file(file);
  executor_->write(step_.program.find_state("mask"), mask.bytes);
}

}  // namespace stepscope
