// qk_norm: an rms norm over each query and each key of a packed qkv, with a scale for all queries and one for all keys; values
// pass through.     y = x rstd scale,  rstd = 1 / sqrt(sum(x^2) / D + epsilon)     over the D features of a head
// in   qkv [B, S, kv_heads (heads / kv_heads + 2) D], packed as for rotary · q_scale [D], k_scale [D] fp32
// out  y as qkv · statistic rstd [B S, heads + kv_heads] fp32, kv head by kv head: its queries, then its key
// Gradient from qkv and rstd, over the place of y's gradient.
// Source: Yang et al. 2025, Qwen3 technical report, arXiv:2505.09388, section 2; the norm: operations/rms_norm.
#pragma once

#include "model/program/builder.h"

namespace stepscope {

extern const OperationKind qk_norm_kind;  // -> y, rstd
extern const OperationKind
    qk_norm_gradient_kind;  // dy, qkv, rstd, q_scale, k_scale -> dqkv, writes gradients of the two scales

ValueId qk_norm(Builder& b, const Operand& qkv, const Operand& q_scale, const Operand& k_scale, std::int64_t heads,
                double epsilon);

}  // namespace stepscope
