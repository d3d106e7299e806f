#include "model/layers/model_settings.h"

#include <fmt/format.h>

#include "model/base/error.h"

namespace stepscope {

namespace {

constexpr std::int64_t largest_extent = std::int64_t{1} << 32;

void require_between(std::string_view field, std::int64_t value, std::int64_t least, std::int64_t most) {
  if (value < least || value > most)
    throw UsageError(fmt::format("model.{} = {}: must be from {} to {}", field, value, least, most));
}

void require_one_of(std::string_view field, std::string_view value, std::string_view one, std::string_view other) {
  if (value != one && value != other)
    throw UsageError(fmt::format("model.{} = \"{}\": must be \"{}\" or \"{}\"", field, value, one, other));
}

void check_rotary(const ModelSettings& m) {
  if (m.positions == "rotary" && m.head_dim % 2 != 0)
    throw UsageError(fmt::format("model.head_dim = {}: must be even, features are turned in pairs", m.head_dim));
  if (!(m.rope_theta >= 1 && m.rope_theta <= 1e12))
    throw UsageError(fmt::format("model.rope_theta = {}: must be from 1 to 1e12", m.rope_theta));
  if (m.rope_scaling == "none") return;
  if (m.positions != "rotary")
    throw UsageError(fmt::format("model.rope_scaling = \"{}\": needs positions = \"rotary\"", m.rope_scaling));
  if (!(m.rope_factor >= 1 && m.rope_factor <= 1e6))
    throw UsageError(fmt::format("model.rope_factor = {}: must be from 1 to 1e6", m.rope_factor));
  if (!(m.rope_low_frequency > 0 && m.rope_low_frequency <= 1e6))
    throw UsageError(fmt::format("model.rope_low_frequency = {}: must be above 0, to 1e6", m.rope_low_frequency));
  if (!(m.rope_high_frequency > m.rope_low_frequency && m.rope_high_frequency <= 1e6))
    throw UsageError(fmt::format("model.rope_high_frequency = {}: must be above rope_low_frequency = {}, to 1e6",
                                 m.rope_high_frequency, m.rope_low_frequency));
  require_between("rope_original_sequence", m.rope_original_sequence, 1, largest_extent);
}

void check_parts(const ModelSettings& m) {
  require_one_of("block_order", m.block_order, "mlp-first", "attention-first");
  require_one_of("attention", m.attention, "fused", "materialised");
  require_one_of("norm", m.norm, "layer", "rms");
  require_one_of("activation", m.activation, "gelu", "swiglu");
  require_one_of("positions", m.positions, "learned", "rotary");
  require_one_of("rope_scaling", m.rope_scaling, "none", "llama3");
  if (m.kv_heads < 1 || m.heads % m.kv_heads != 0)
    throw UsageError(fmt::format("model.kv_heads = {}: must divide model.heads = {}", m.kv_heads, m.heads));
  check_rotary(m);
}

}  // namespace

ModelSettings resolved(ModelSettings m) {
  require_between("layers", m.layers, 1, 4096);
  require_between("hidden", m.hidden, 1, largest_extent);
  require_between("heads", m.heads, 1, largest_extent);
  require_between("vocabulary", m.vocabulary, 1, largest_extent);
  require_between("max_sequence", m.max_sequence, 1, largest_extent);
  if (m.head_dim == 0) {
    if (m.hidden % m.heads != 0)
      throw UsageError(
          fmt::format("model.heads = {}: must divide model.hidden = {}, or head_dim be given", m.heads, m.hidden));
    m.head_dim = m.hidden / m.heads;
  }
  if (m.kv_heads == 0) m.kv_heads = m.heads;
  if (m.mlp_hidden == 0) m.mlp_hidden = 4 * m.hidden;
  require_between("head_dim", m.head_dim, 1, largest_extent);
  require_between("mlp_hidden", m.mlp_hidden, 1, largest_extent);
  check_parts(m);
  if (!(m.dropout >= 0 && m.dropout < 1))
    throw UsageError(fmt::format("model.dropout = {}: must be at least 0 and below 1", m.dropout));
  if (!(m.norm_epsilon > 0 && m.norm_epsilon < 1))
    throw UsageError(fmt::format("model.norm_epsilon = {}: must be above 0 and below 1", m.norm_epsilon));
  if (!(m.initial_deviation >= 0 && m.initial_deviation <= 10))
    throw UsageError(fmt::format("model.initial_deviation = {}: must be from 0 to 10", m.initial_deviation));
  for (const std::string& mask : m.mask)
    if (mask != "causal" && mask != "padding" && !(mask.starts_with("custom:") && mask.size() > 7) && mask != "custom")
      throw UsageError(
          fmt::format("model.mask = \"{}\": must be made of \"causal\", \"padding\", \"custom:FILE\"", mask));
  return m;
}

std::int64_t parameter_count(const ModelSettings& m) {
  const auto dense = [](std::int64_t in, std::int64_t out, bool bias) { return in * out + (bias ? out : 0); };
  const std::int64_t norm = (m.norm == "rms" ? 1 : 2) * m.hidden;
  const std::int64_t into_mlp = m.activation == "swiglu" ? 2 : 1;
  const std::int64_t mlp =
      norm + into_mlp * dense(m.hidden, m.mlp_hidden, m.mlp_bias) + dense(m.mlp_hidden, m.hidden, m.mlp_bias);
  const std::int64_t attention = norm + dense(m.hidden, (m.heads + 2 * m.kv_heads) * m.head_dim, m.qkv_bias) +
                                 dense(m.heads * m.head_dim, m.hidden, m.out_bias) + (m.qk_norm ? 2 * m.head_dim : 0);
  const std::int64_t head = (m.tied_head ? 0 : m.hidden * m.vocabulary) + (m.head_bias ? m.vocabulary : 0);
  const std::int64_t positions = m.positions == "learned" ? m.max_sequence * m.hidden : 0;
  return m.vocabulary * m.hidden + positions + m.layers * (mlp + attention) + norm + head;
}

namespace {

// GPT-2: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", table 2. Training as in nanoGPT's train.py
// and GPT-3's table 2.1 for the learning rates. Without dropout: these models do not see their data often enough to need it.
ModelSettings gpt2(std::int64_t layers, std::int64_t hidden, std::int64_t heads) {
  return {.layers = layers,
          .hidden = hidden,
          .heads = heads,
          .vocabulary = 50257,
          .max_sequence = 1024,
          .block_order = "attention-first",
          .tied_head = true,
          .head_bias = false,
          .norm_epsilon = 1e-5,
          .initial_deviation = 0.02};
}

Preset gpt2_preset(std::string_view name, std::string_view about, ModelSettings model, double learning_rate) {
  return {.name = name,
          .about = about,
          .model = std::move(model),
          .global_batch = 8,
          .schedule = "cosine",
          .learning_rate = learning_rate,
          .learning_rate_warmup = 100,
          .optimizer = "adamw",
          .beta2 = 0.95,
          .clip = 1};
}

ModelSettings gpt2_tiny() {
  ModelSettings model = gpt2(2, 48, 3);
  model.vocabulary = 256, model.max_sequence = 32;
  return model;
}

}  // namespace

std::span<const Preset> presets() {
  static const Preset rows[] = {
      {"seed",
       "the tutorial's transformer: 155,877,376 parameters, batch 64 x 512 tokens",
       {.layers = 12, .hidden = 1024, .heads = 8, .vocabulary = 2048, .max_sequence = 512, .dropout = 0.1},
       64,
       "seed",
       4e-4,
       10},
      {"seed-small",
       "the seed's shape at 3,323,648 parameters, batch 8 x 128 bytes: trains on a laptop",
       {.layers = 4, .hidden = 256, .heads = 4, .vocabulary = 256, .max_sequence = 128, .dropout = 0.1},
       8,
       "cosine",
       1e-3,
       20},
      {"tiny",
       "two layers of 64 features, batch 8 x 32 bytes: for tests and a first look",
       {.layers = 2, .hidden = 64, .heads = 2, .vocabulary = 256, .max_sequence = 32, .dropout = 0.1},
       8,
       "cosine",
       1e-3,
       20},
      gpt2_preset("gpt2-tiny", "GPT-2's shape in two layers of 48 features, batch 8 x 32 bytes: for tests", gpt2_tiny(),
                  1e-3),
      gpt2_preset("gpt2-124m", "GPT-2: 124,439,808 parameters, batch 8 x 1,024 tokens", gpt2(12, 768, 12), 6e-4),
      gpt2_preset("gpt2-355m", "GPT-2 medium: 354,823,168 parameters", gpt2(24, 1024, 16), 3e-4),
      gpt2_preset("gpt2-774m", "GPT-2 large: 774,030,080 parameters", gpt2(36, 1280, 20), 2.5e-4),
      gpt2_preset("gpt2-1558m", "GPT-2 XL: 1,557,611,200 parameters", gpt2(48, 1600, 25), 2e-4),
  };
  return rows;
}

const Preset& preset_named(std::string_view name) {
  std::string known;
  for (const Preset& preset : presets()) {
    if (preset.name == name) return preset;
    known += (known.empty() ? "" : ", ") + std::string(preset.name);
  }
  throw UsageError(fmt::format("model.preset = \"{}\": must be one of {}", name, known));
}

}  // namespace stepscope
