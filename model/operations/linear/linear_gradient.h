// The gradients of weight, bias and x that linear shares with what ends in something else than y = x weight + bias.
#pragma once

#include "model/program/gradient.h"

namespace stepscope {

// op: x, weight, bias? first among its operands; dy: the gradient of x weight + bias.
void linear_gradients(Differentiation& d, const Operation& op, const Operand& dy);

}  // namespace stepscope
