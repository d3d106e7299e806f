#include "model/layers/model_settings.h"

#include <fmt/format.h>

#include "model/base/dtype.h"
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
  const std::optional<DType> softmax = dtype_named(m.softmax_precision);
  if (!softmax || *softmax == DType::fp64 || *softmax == DType::int32 || *softmax == DType::u8)
    throw UsageError(
        fmt::format("model.softmax_precision = \"{}\": must be \"fp32\" or a float of two bytes", m.softmax_precision));
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

}  // namespace stepscope
