// materialised_attention: attention as the seed has it, with the whole matrix of weights in memory.
//     p = softmax((q scale) k^T + mask)     o = p v          the scaled q rounded to the compute type, scores and softmax in fp32
// in   as attention     out   o [B, S, heads D] as q · p [B, heads, S, S] fp32, or rounded to attributes.probabilities ·
//      p_compute, p in the compute type where that is narrow and another
// Gradient: dp = do v^T   ds = p (dp - rowsum(dp p))   dv = p^T do   dq = scale ds k   dk = ds^T (q scale): 4 matmuls.
#pragma once

#include "model/operations/attention/attention.h"

namespace stepscope {

extern const OperationKind materialised_attention_kind;  // -> o, p, p_compute?
extern const OperationKind materialised_attention_gradient_kind;  // do, q, k, v, p, p_compute? -> dqkv, ds

ValueId materialised_attention(Builder& b, const AttentionOperands& operands, bool causal, double scale,
                               DType probabilities = DType::fp32);

}  // namespace stepscope
