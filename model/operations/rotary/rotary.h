// rotary: every query and key of a packed qkv is turned by its position's angles, pair by pair; values pass through.
//     y[i] = x[i] cos a - x[i + D/2] sin a     y[i + D/2] = x[i + D/2] cos a + x[i] sin a     a = s theta^(-2 i / D),  0 <= i < D/2
// in   qkv [B, S, kv_heads (heads / kv_heads + 2) D], kv head by kv head: its queries, its key, its value, D features each
// out  the same, packed alike: it may lie over qkv, and its gradient (turned back) over its gradient     s the place in the row
// The gradient reads nothing of the forward pass, so only what attention reads is kept.
// With attributes.rotary.original > 0, wavelengths that are long beside it are stretched, as Llama 3 does.
// Source: Su et al. 2021, arXiv:2104.09864, equation 34, with the pairs of the transformers library (i and i + D/2). Stretching:
// Llama 3.1, github.com/meta-llama/llama-models, models/llama3/reference_impl/model.py, apply_scaling.
#pragma once

#include "model/program/builder.h"

namespace stepscope {

extern const OperationKind rotary_kind;
extern const OperationKind rotary_gradient_kind;  // dy -> dqkv

ValueId rotary(Builder& b, const Operand& qkv, std::int64_t heads, std::int64_t head_dim, const RotaryScale& scale);

}  // namespace stepscope
