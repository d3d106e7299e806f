// AttentionBlock: norm, one Dense to q, k, v packed kv head by kv head as [its queries|k|v], norm and turning of queries and keys
// where the settings have them, attention, a Dense back, dropout, residual.
#pragma once

#include "model/layers/mask.h"

namespace stepscope {

[[nodiscard]] Operand attention_block(Builder& b, const ModelSettings& m, const AttentionMask& mask,
                                      const Operand& x);  // [B, S, H] -> [B, S, H]

}  // namespace stepscope
