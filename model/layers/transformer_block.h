// TransformerBlock: an MLPBlock and an AttentionBlock, in the settings' order.
#pragma once

#include "model/layers/mask.h"

namespace stepscope {

[[nodiscard]] Operand transformer_block(Builder& b, const ModelSettings& m, const AttentionMask& mask,
                                        const Operand& x);

}  // namespace stepscope
