// How a model is trained: everything of a step that is neither architecture nor technique.
#pragma once

#include <cstdint>
#include <string>

namespace stepscope {

struct TrainingSettings {
  std::int64_t global_batch = 0;  // rows a step
  std::int64_t sequence = 0;  // tokens a row; 0: the model's max_sequence
  std::string optimizer = "adam";  // a row of optimizers(), optimizer.h; epsilon 1e-8
  double beta1 = 0.9, beta2 = 0.999;
  double weight_decay = 0.1;  // of adamw; adam has none
  std::string schedule = "cosine";  // "seed", "cosine", "constant"
  double learning_rate = 0;
  std::int64_t learning_rate_warmup = 0;  // steps
  std::int64_t steps = 0;  // length of the schedule and of `train`
  double clip = 0;  // largest gradient norm; 0: no clipping
  double loss_scale = 65536;  // of fp16 in the first step; a power of two
  std::int64_t loss_scale_growth_interval = 2000;  // clean steps after which it doubles
  std::uint64_t seed = 0;
  bool operator==(const TrainingSettings&) const = default;
};

}  // namespace stepscope
