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
  if (m.kv_heads != m.heads)
    throw UsageError(fmt::format("model.kv_heads = {}: must equal model.heads = {}", m.kv_heads, m.heads));
  if (!(m.dropout >= 0 && m.dropout < 1))
    throw UsageError(fmt::format("model.dropout = {}: must be at least 0 and below 1", m.dropout));
  if (m.attention != "fused" && m.attention != "materialised")
    throw UsageError(fmt::format("model.attention = \"{}\": must be \"fused\" or \"materialised\"", m.attention));
  for (const std::string& mask : m.mask)
    if (mask != "causal" && mask != "padding" && !(mask.starts_with("custom:") && mask.size() > 7) && mask != "custom")
      throw UsageError(
          fmt::format("model.mask = \"{}\": must be made of \"causal\", \"padding\", \"custom:FILE\"", mask));
  return m;
}

std::int64_t parameter_count(const ModelSettings& m) {
  const std::int64_t width = m.heads * m.head_dim;
  const std::int64_t mlp = 2 * m.hidden + m.hidden * m.mlp_hidden + m.mlp_hidden + m.mlp_hidden * m.hidden + m.hidden;
  const std::int64_t attention = 2 * m.hidden + m.hidden * 3 * width + 3 * width + width * m.hidden + m.hidden;
  return (m.vocabulary + m.max_sequence) * m.hidden + m.layers * (mlp + attention) + 2 * m.hidden +
         m.hidden * m.vocabulary + m.vocabulary;
}

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
