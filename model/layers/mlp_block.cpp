#include "model/layers/mlp_block.h"

#include "model/layers/dense.h"
#include "model/operations/dropout_add/dropout_add.h"
#include "model/operations/gelu/gelu.h"

namespace stepscope {

Operand mlp_block(Builder& b, const ModelSettings& m, const Operand& x) {
  const auto scope = b.scope("mlp", "MLPBlock");
  const Operand h = norm(b, "norm", x, m.norm_epsilon);  // [B, S, H]
  const Operand u = dense(b, "up", h, m.mlp_hidden, initial_weight(m, m.hidden));  // [B, S, M]
  const Operand g = b.operand(gelu(b, u));  // [B, S, M]
  const Operand branch = dense(b, "down", g, m.hidden, initial_weight(m, m.mlp_hidden, true));  // [B, S, H]
  return b.operand(dropout_add(b, branch, x, m.dropout));
}

}  // namespace stepscope
