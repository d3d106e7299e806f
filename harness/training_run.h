// `stepscope train`: one cell trained for real, into a folder that it can go on from.
//     const TrainingEnd end = train({.cell = &cell, .machine = machine, .out = "runs/kjv", .steps = 1000}, say);
// OUT/loss.csv has a row a step, with fp16 also its loss scale and the steps skipped so far (no times: a resumed run writes the same bytes as one never stopped), OUT/state.safetensors
// parameters and moments, OUT/cell.toml the configuration. Both are written whole; what a killed run did after its last
// saved state is done again. With samples, OUT/samples.csv has a text that the model wrote at each validation. Throws UsageError where OUT belongs to another configuration or cannot be written.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "harness/cell.h"
#include "model/program/cost.h"
#include "model/training/sampler.h"

namespace stepscope {

struct MatmulTuning;

struct TrainingRequest {
  const MatrixCell* cell = nullptr;
  Machine machine;
  std::filesystem::path out;
  std::shared_ptr<const MatmulTuning> tuning = {};  // of a card's matmuls
  std::int64_t steps = 0;
  std::int64_t save_every = 0;  // steps; 0: a tenth of all
  std::int64_t validate_every = 0;  // steps; 0: a tenth of all
  SamplingSettings sampling;  // count 0: no samples
  std::string prompt;  // what samples go on from
  std::filesystem::path export_folder;  // of Hugging Face, made from the last step's parameters; "": none
};

struct TrainingEnd {
  std::int64_t step = 0;  // reached
  double loss = 0;  // of the last step
  std::optional<double> loss_scale = {};  // of the next step, where the precision scales the loss
  std::int64_t skipped_steps = 0;
  double validation_loss = 0;  // the last one; NaN where there is none
  std::optional<double> entropy = {};  // of the source, nats a token, where it is known: what the loss comes down to
  bool interrupted = false;
};

using Say = std::function<void(const std::string& line)>;

[[nodiscard]] TrainingEnd train(const TrainingRequest& request, const Say& say);

}  // namespace stepscope
