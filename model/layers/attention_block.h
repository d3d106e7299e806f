// AttentionBlock: norm, one Dense to q, k, v packed per head as [q|k|v], attention, a Dense back, dropout, residual.
#pragma once

#include "model/layers/mask.h"

namespace stepscope {

[[nodiscard]] Operand attention_block(Builder& b, const ModelSettings& m, const AttentionMask& mask,
                                      const Operand& x);  // [B, S, H] -> [B, S, H]

}  // namespace stepscope
