// count_tokens: how many targets of the whole step count, before its first micro-step: the denominator of the loss.
// in   targets int32 [global_batch, S]     writes   results: token_count, loss_sum = 0
#pragma once

#include "model/program/builder.h"

namespace stepscope {

extern const OperationKind count_tokens_kind;

void count_tokens(Builder& b, const Operand& targets);  // in the prologue

}  // namespace stepscope
