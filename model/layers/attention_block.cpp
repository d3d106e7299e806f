#include "model/layers/attention_block.h"

#include <cmath>

#include "model/layers/dense.h"
#include "model/operations/dropout_add/dropout_add.h"
#include "model/operations/materialised_attention/materialised_attention.h"

namespace stepscope {

namespace {

// Columns of the packed Dense run head by head, D of q, then of k, then of v: element (b, s, head, d) of part p lies at
// ((b S + s) heads + head) 3 D + p D + d.
Operand part_of(const Operand& packed, const ModelSettings& m, int part) {
  const std::int64_t rows = packed.view.shape[0], sequence = packed.view.shape[1], width = 3 * m.head_dim;
  Operand view = packed;
  view.view.offset = part * m.head_dim;
  view.view.shape = {rows, sequence, m.heads, m.head_dim};
  view.view.strides = {sequence * m.heads * width, m.heads * width, width, 1};
  return view;
}

}  // namespace

Operand attention_block(Builder& b, const ModelSettings& m, const AttentionMask& mask, const Operand& x) {
  const auto scope = b.scope("attention", "AttentionBlock");
  const Operand h = norm(b, "norm", x, m.norm_epsilon);  // [B, S, H]
  const std::int64_t width = m.heads * m.head_dim;
  const Operand qkv = dense(b, "qkv", h, 3 * width, initial_weight(m, m.hidden));  // [B, S, heads 3 D]
  const AttentionOperands operands{part_of(qkv, m, 0), part_of(qkv, m, 1), part_of(qkv, m, 2), mask.lengths,
                                   mask.custom};
  const double scale = 1 / std::sqrt(static_cast<double>(m.head_dim));
  const bool materialised = m.attention == "materialised";
  const ValueId o = materialised ? materialised_attention(b, operands, mask.causal, scale)
                                 : attention(b, operands, mask.causal, scale);
  const Operand branch = dense(b, "out", b.operand(o), m.hidden, initial_weight(m, width, true));  // [B, S, H]
  return b.operand(dropout_add(b, branch, x, m.dropout));
}

}  // namespace stepscope
