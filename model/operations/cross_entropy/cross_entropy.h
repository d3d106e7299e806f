// cross_entropy: the negative log-likelihood of each target under softmax(logits), with its gradient in the same pass.
//     loss = sum over rows that count of (log(sum exp(logits)) - logits[target]) / T     dlogits = (softmax(logits) - onehot(target)) / T
// dlogits are multiplied by results.loss_scale, so that small ones do not vanish in a narrow type; the loss is not.
// T is the number of targets that count in the whole step (results.token_count), so micro-steps simply add up. A target of
// -1 does not count: no loss, a gradient of zeros.
// in   logits [.., V] fp32 · targets int32 [B, S] · results     out   loss [1] fp32 · dlogits in attributes.output, over logits where sizes agree
// Writes results.loss_sum. Bound by bytes: logits read twice (maximum and sum in one pass), dlogits written once.
#pragma once

#include "model/program/builder.h"

namespace stepscope {

extern const OperationKind cross_entropy_kind;  // -> loss, dlogits

ValueId cross_entropy(Builder& b, const Operand& logits, const Operand& targets);  // -> loss

}  // namespace stepscope
