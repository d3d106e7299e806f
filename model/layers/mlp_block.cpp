#include "model/layers/mlp_block.h"

#include "model/layers/dense.h"
#include "model/operations/dropout_add/dropout_add.h"
#include "model/operations/gelu/gelu.h"
#include "model/operations/swiglu/swiglu.h"

namespace stepscope {

namespace {

Operand middle(Builder& b, const ModelSettings& m, const Operand& h) {  // [B, S, H] -> [B, S, M]
  const Initial initial = initial_weight(m, m.hidden);
  if (m.activation == "gelu") return b.operand(gelu(b, dense(b, "up", h, m.mlp_hidden, initial, m.mlp_bias)));
  const Operand gate = dense(b, "gate", h, m.mlp_hidden, initial, m.mlp_bias);
  const Operand up = dense(b, "up", h, m.mlp_hidden, initial, m.mlp_bias);
  return b.operand(swiglu(b, gate, up));
}

}  // namespace

Operand mlp_block(Builder& b, const ModelSettings& m, const Operand& x) {
  const auto scope = b.scope("mlp", "MLPBlock");
  const Operand g = middle(b, m, norm(b, m, "norm", x));  // [B, S, M]
  const Operand branch = dense(b, "down", g, m.hidden, initial_weight(m, m.mlp_hidden, true), m.mlp_bias);  // [B, S, H]
  return b.operand(dropout_add(b, branch, x, m.dropout));
}

}  // namespace stepscope
