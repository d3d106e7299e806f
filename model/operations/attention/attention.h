// attention: softmax(scale q k^T + mask) v for each head, blocked over queries so that no [S, S] matrix exists.
// in   q [B, S, kv_heads, heads / kv_heads D], k, v [B, S, kv_heads, D], views of one packed value · lengths? int32 [B] · mask? u8 [B|1, heads|1, S, S], 1 = visible
// out  o [B, S, heads D] as q · lse [B, heads, S] fp32, the log of each row's sum of exponentials: all that backward needs
// Query head h looks at kv head h kv_heads / heads, whose queries lie side by side (Ainslie et al. 2023, arXiv:2305.13245).
// A row that sees no key gives zeros. Masks (causal, padding by lengths, custom) combine by and.
// Gradient: delta = rowsum(do o), then scores again from lse and, block by block, dv, dk, dq: 5 matmuls where forward has 2.
// dk and dv are sums over a kv head's queries, in their order. The gradient of q, k, v is one value of the packed layout. o and lse come from one operation and are one unit.
// Source: Dao et al. 2022, arXiv:2205.14135, algorithms 1 and 4.
#pragma once

#include <optional>

#include "model/program/builder.h"

namespace stepscope {

struct AttentionOperands {
  Operand q, k, v;
  std::optional<Operand> lengths, mask;
};

extern const OperationKind attention_kind;  // -> o, lse
// do, q, k, v, o, lse, lengths?, mask? -> dqkv, delta; by a library dqkv alone (attention_library.h)
extern const OperationKind attention_gradient_kind;

// probabilities: the type that they are rounded to, for o and for gradients; fp32 rounds nothing.
ValueId attention(Builder& b, const AttentionOperands& operands, bool causal, double scale,
                  DType probabilities = DType::fp32);

// Shared with materialised_attention: the operands in their order, the attributes, the checks of both.
[[nodiscard]] std::vector<Operand> in_order(const AttentionOperands& operands);
[[nodiscard]] Attributes attention_attributes(const AttentionOperands& operands, bool causal, double scale,
                                              DType probabilities);
[[nodiscard]] inline bool rounds_probabilities(const Operation& op) {
  return size_bytes(op.attributes.probabilities) < 4;
}
void check_attention(const Program& program, const Operation& op,
                     int first);  // q, k, v are ins first, first + 1, first + 2
[[nodiscard]] std::int64_t attention_matmul_flops(const Operation& op, int first, bool causal_half);  // of one of them

}  // namespace stepscope
