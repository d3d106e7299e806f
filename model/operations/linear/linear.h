// linear: y = x weight + bias, weights input-major.
// in   x [.., I], weight [I, O], bias [O], one compute type     out   y [.., O] attributes.output     N = rows of x
// Gradient, parameters first:   dweight = x^T dy   dbias = column sums of dy   dx = dy weight^T
// Bound by FLOPs: 2 N I O each of the three matmuls; sums in fp32 whatever the operands are.
#pragma once

#include "model/program/builder.h"

namespace stepscope {

extern const OperationKind linear_kind;
extern const OperationKind linear_weight_gradient_kind;  // x, dy -> writes gradients of weight and bias
extern const OperationKind linear_input_gradient_kind;  // dy, weight -> dx

ValueId linear(Builder& b, const Operand& x, const Operand& weight, const Operand& bias, DType output);

}  // namespace stepscope
