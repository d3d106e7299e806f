// MLPBlock: norm, a Dense to M features and GELU, or two Denses and SwiGLU, a Dense back, dropout, and the residual stream.
#pragma once

#include "model/layers/model_settings.h"
#include "model/program/builder.h"

namespace stepscope {

[[nodiscard]] Operand mlp_block(Builder& b, const ModelSettings& m, const Operand& x);  // x [B, S, H] -> [B, S, H]

}  // namespace stepscope
