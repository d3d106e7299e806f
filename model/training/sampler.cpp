#include "model/training/sampler.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "model/base/error.h"
#include "model/training/data_stream.h"
#include "model/training/logits_reader.h"
#include "model/training/trainer.h"

namespace stepscope {

namespace {

const ModelSettings& causal(const ModelSettings& model) {
  if (model.mask != std::vector<std::string>{"causal"})
    throw UsageError(fmt::format("model.mask = {}: samples can be written only with mask = [\"causal\"]",
                                 model.mask.empty() ? "[]" : fmt::format("[\"{}\"]", fmt::join(model.mask, "\", \""))));
  return model;
}

StepRecipe with_whole_logits(StepRecipe recipe) {
  recipe.logits_chunks = 1;
  return recipe;
}

}  // namespace

std::int32_t pick_token(std::span<const float> logits, double temperature, std::int64_t top_k, double uniform) {
  std::vector<std::int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto logit = [&](std::int32_t token) { return static_cast<double>(logits[static_cast<std::size_t>(token)]); };
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return logit(a) > logit(b); });
  if (temperature == 0) return order.front();
  if (top_k > 0 && top_k < std::ssize(order)) order.resize(static_cast<std::size_t>(top_k));
  std::vector<double> weights;
  for (const std::int32_t token : order) weights.push_back(std::exp((logit(token) - logit(order[0])) / temperature));
  double left = uniform * std::accumulate(weights.begin(), weights.end(), 0.0);
  for (std::size_t i = 0; i < order.size(); ++i) {
    left -= weights[i];
    if (left < 0) return order[i];
  }
  return order.back();  // rounding
}

Sampler::Sampler(const ModelSettings& model, std::int64_t sequence, const StepRecipe& recipe, const Machine& machine)
    : sequence_(sequence),
      vocabulary_(model.vocabulary),
      pass_(causal(model), {.rows = 1, .sequence = sequence, .micro_steps = 1}, with_whole_logits(recipe), machine) {}

std::vector<std::int32_t> Sampler::sample(const Program& trained, const Executor& parameters,
                                          std::span<const std::int32_t> prompt, const SamplingSettings& settings) {
  pass_.take_parameters(trained, parameters);
  LogitsReader logits(pass_.program(), pass_.executor());
  pass_.executor().observe(&logits);
  const DataStream stream{settings.seed, DataStream::Use::sampling};
  std::vector<std::int32_t> text(prompt.begin(), prompt.end()), written;
  if (text.empty()) text.push_back(settings.start);
  Batch batch;
  for (std::int64_t i = 0; i < settings.count; ++i) {
    const std::int64_t seen = std::min(std::ssize(text), sequence_);
    batch.tokens.assign(text.end() - seen, text.end());
    batch.tokens.resize(static_cast<std::size_t>(sequence_), 0);  // what lies behind is hidden by the mask
    batch.targets.assign(static_cast<std::size_t>(sequence_), 0);
    write_batch(pass_.program(), pass_.executor(), batch);
    pass_.executor().step(0);
    const double uniform = static_cast<double>(stream.below(std::int64_t{1} << 53, i, 0)) * 0x1p-53;
    const auto last =
        logits.all().subspan(static_cast<std::size_t>((seen - 1) * vocabulary_), static_cast<std::size_t>(vocabulary_));
    written.push_back(pick_token(last, settings.temperature, settings.top_k, uniform));
    text.push_back(written.back());
  }
  pass_.executor().observe(nullptr);
  return written;
}

}  // namespace stepscope
