#include "model/layers/transformer_block.h"

#include "model/layers/attention_block.h"
#include "model/layers/mlp_block.h"

namespace stepscope {

Operand transformer_block(Builder& b, const ModelSettings& m, const AttentionMask& mask, const Operand& x) {
  if (m.block_order == "attention-first") return mlp_block(b, m, attention_block(b, m, mask, x));
  return attention_block(b, m, mask, mlp_block(b, m, x));
}

}  // namespace stepscope
