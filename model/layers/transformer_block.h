// TransformerBlock: the seed's order, MLP before attention.
#pragma once

#include "model/layers/mask.h"

namespace stepscope {

[[nodiscard]] Operand transformer_block(Builder& b, const ModelSettings& m, const AttentionMask& mask,
                                        const Operand& x);

}  // namespace stepscope
