#include "model/layers/attention_block.h"

#include <cmath>

#include "model/layers/dense.h"
#include "model/operations/dropout_add/dropout_add.h"
#include "model/operations/materialised_attention/materialised_attention.h"
#include "model/operations/qk_norm/qk_norm.h"
#include "model/operations/rotary/rotary.h"

namespace stepscope {

namespace {

// Columns of the packed Dense run kv head by kv head: D of each of its queries, then of its key, then of its value. A part of a kv
// head is `features` of those columns, from column `first` on.
Operand part_of(const Operand& packed, const ModelSettings& m, std::int64_t first, std::int64_t features) {
  const std::int64_t rows = packed.view.shape[0], sequence = packed.view.shape[1], all = packed.view.shape[2];
  Operand view = packed;
  view.view.offset = first;
  view.view.shape = {rows, sequence, m.kv_heads, features};
  view.view.strides = {sequence * all, all, all / m.kv_heads, 1};
  return view;
}

Operand queries_keys_values(Builder& b, const ModelSettings& m, const Operand& h) {  // packed
  const std::int64_t features = (m.heads + 2 * m.kv_heads) * m.head_dim;
  Operand qkv = dense(b, "qkv", h, features, initial_weight(m, m.hidden), m.qkv_bias);
  if (m.qk_norm) {
    const auto scale = [&](const char* name) {
      return b.parameter(name, {m.head_dim}, {Initial::Law::ones, 0}, Builder::Use::exact);
    };
    const Operand q_scale = scale("q_norm.scale"), k_scale = scale("k_norm.scale");
    qkv = b.operand(qk_norm(b, qkv, q_scale, k_scale, m.heads, m.norm_epsilon));
  }
  if (m.positions != "rotary") return qkv;
  RotaryScale scale{.theta = m.rope_theta};
  if (m.rope_scaling == "llama3") {
    scale.factor = m.rope_factor, scale.original = m.rope_original_sequence;
    scale.low = m.rope_low_frequency, scale.high = m.rope_high_frequency;
  }
  return b.operand(rotary(b, qkv, m.heads, m.head_dim, scale));
}

}  // namespace

Operand attention_block(Builder& b, const ModelSettings& m, const AttentionMask& mask, const Operand& x) {
  const auto scope = b.scope("attention", "AttentionBlock");
  const Operand qkv = queries_keys_values(b, m, norm(b, m, "norm", x));  // [B, S, (heads + 2 kv_heads) D]
  const std::int64_t width = m.heads * m.head_dim, queries = width / m.kv_heads;
  const AttentionOperands operands{part_of(qkv, m, 0, queries), part_of(qkv, m, queries, m.head_dim),
                                   part_of(qkv, m, queries + m.head_dim, m.head_dim), mask.lengths, mask.custom};
  const double scale = 1 / std::sqrt(static_cast<double>(m.head_dim));
  const bool materialised = m.attention == "materialised";
  const DType softmax = dtype_named(m.softmax_precision).value();
  const ValueId o = materialised ? materialised_attention(b, operands, mask.causal, scale, softmax)
                                 : attention(b, operands, mask.causal, scale, softmax);
  const Operand branch =
      dense(b, "out", b.operand(o), m.hidden, initial_weight(m, width, true), m.out_bias);  // [B, S, H]
  return b.operand(dropout_add(b, branch, x, m.dropout));
}

}  // namespace stepscope
