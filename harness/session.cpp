#include "harness/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <vector>

#include "harness/planned.h"
#include "model/base/error.h"
#include "model/base/file.h"
#include "model/base/hash.h"
#include "model/execution/make_executor.h"
#include "model/training/hf_weights.h"
#include "model/training/tokenizer.h"

namespace stepscope {

namespace {

Schedule schedule_of(const TrainingSettings& training, std::int64_t steps) {
  return schedule_named(training.schedule, training.learning_rate, training.learning_rate_warmup,
                        training.steps > 0 ? training.steps : steps);
}

// In parts: files of tokens may be larger than memory.
std::uint64_t hash_of_file(const std::string& path) {
  const InputFile file(path);
  std::vector<std::byte> part(1 << 20);
  Hash hash;
  for (std::uint64_t at = 0; at < file.size_bytes(); at += part.size()) {
    const std::span<std::byte> now =
        std::span(part).first(std::min<std::uint64_t>(part.size(), file.size_bytes() - at));
    file.read(at, now);
    hash.add(std::span<const std::byte>(now));
  }
  return hash.value();
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
    if (!path.empty()) text += fmt::format("{} = {}\n", key, hexadecimal(hash_of_file(path)));
  };
  add_file("data.text_hash", file_of(configuration.data.source));
  for (const std::string& file : files_of_tokenizer(configuration.data.tokenizer))
    add_file("data.tokenizer_hash", file);
  add_file("model.mask_hash", mask_file_of(configuration.model));
  if (!configuration.hf.empty())
    for (const std::filesystem::path& file : hf_weight_files(configuration.hf))
      add_file(("model.hf_hash." + file.filename().string()).c_str(), file.string());
  return text;
}

void check_weights(const Configuration& configuration) {
  if (!configuration.hf.empty()) check_hf_weights(configuration.hf, configuration.model);
}

Session::Session(const MatrixCell& cell, const Machine& machine, const SessionOptions& options) : cell_(cell) {
  const Configuration& c = cell.configuration;
  source_ = options.batch != nullptr ? std::make_unique<GivenBatch>(*options.batch, c.model.vocabulary)
                                     : data_source_of(cell);
  step_ = build_cell_step(cell, machine);
  executor_ =
      make_executor(step_.program, step_.plan, machine, {.eager = recipe_of(c).eager, .tuning = options.tuning});
  executor_->initialise(c.training.seed);
  if (!c.hf.empty() && !options.weights_follow) load_hf_weights(step_.program, *executor_, c.hf, c.model);
  load_mask(options);
  trainer_ =
      std::make_unique<Trainer>(step_.program, *executor_, *source_, schedule_of(c.training, options.schedule_steps));
  ranges_ = std::make_unique<Ranges>(step_.program);
  observe(nullptr);
}

void Session::observe(Observer* observer) {
  if (!ranges_->attached()) return executor_->observe(observer);
  with_ranges_ = observer != nullptr ? std::make_unique<ObserverPair>(*ranges_, *observer) : nullptr;
  executor_->observe(with_ranges_ != nullptr ? static_cast<Observer*>(with_ranges_.get()) : ranges_.get());
}

void Session::load_mask(const SessionOptions& options) {
  const std::string file = mask_file_of(cell_.configuration.model);
  if (file.empty()) return;
  const bool from_batch = options.batch != nullptr && options.batch->mask && options.batch->path == file;
  const NamedTensor mask = from_batch ? *options.batch->mask : read_mask_file(file);
  executor_->write(step_.program.find_state("mask"), mask.bytes);
}

}  // namespace stepscope
