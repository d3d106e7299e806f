// Text that the model writes: token after token, each drawn from the model's distribution given those before it.
//     Sampler sampler(model, sequence, recipe, machine);
//     const auto tokens = sampler.sample(step.program, executor, prompt, {.count = 200, .temperature = 0.8, .top_k = 40});
// At most `sequence` tokens are looked back on: later ones push the first ones out. Each token costs a forward pass of one row.
// Draws are counter-based: the same parameters, prompt, seed and settings give the same tokens.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/training/forward_pass.h"

namespace stepscope {

struct SamplingSettings {
  std::int64_t count = 0;  // new tokens
  double temperature = 1;  // logits are divided by it; 0: always the likeliest token
  std::int64_t top_k = 0;  // only the k likeliest; 0: all
  std::uint64_t seed = 0;
  std::int32_t start = 0;  // the token that an empty prompt is
};

// One token from logits [V] by the inverse of the cumulative distribution at `uniform` in [0, 1). Ties go to the smaller token.
[[nodiscard]] std::int32_t pick_token(std::span<const float> logits, double temperature, std::int64_t top_k,
                                      double uniform);

class Sampler {
 public:
  // Settings must be resolved. Throws UsageError unless the mask is causal: without it no token can be told from those before it.
  Sampler(const ModelSettings& model, std::int64_t sequence, const StepRecipe& recipe, const Machine& machine);

  // The new tokens, without the prompt. An empty prompt is the single token `start`.
  [[nodiscard]] std::vector<std::int32_t> sample(const Program& trained, const Executor& parameters,
                                                 std::span<const std::int32_t> prompt,
                                                 const SamplingSettings& settings);

 private:
  std::int64_t sequence_, vocabulary_;
  ForwardPass pass_;
};

}  // namespace stepscope
