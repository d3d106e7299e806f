// embedding: each token's row of the table plus its position's row, where positions are learned.
//     x[b, s] = table[tokens[b, s]] + positions[s]
// in   tokens int32 [B, S] · table [V, H] fp32 · positions? [S, H] fp32, the first S rows     out   x [B, S, H] of the residual stream
// Gradient: each row of dx is added to its token's row of the table and its position's row, in the order of tokens.
// Bound by bytes: the rows read once, x written once.
#pragma once

#include <optional>

#include "model/program/builder.h"

namespace stepscope {

extern const OperationKind embedding_kind;  // -> x
extern const OperationKind embedding_gradient_kind;  // dx, tokens -> writes gradients of table, positions?

ValueId embedding(Builder& b, const Operand& tokens, const Operand& table, const std::optional<Operand>& positions);

}  // namespace stepscope
