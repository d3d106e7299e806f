// linear: y = x weight + bias, weights input-major.
// in   x [.., I], weight [I, O], bias [O] or none, one compute type     out   y [.., O] attributes.output     N = rows of x
// The weight may view a matrix stored [O, I], as a head that shares the embedding does.
// Gradient, parameters first:   dweight = x^T dy (stored as the weight is)   dbias = column sums of dy   dx = dy weight^T
// Bound by FLOPs: 2 N I O each of the three matmuls; sums in fp32 whatever the operands are.
#pragma once

#include <optional>

#include "model/program/builder.h"

namespace stepscope {

extern const OperationKind linear_kind;
extern const OperationKind linear_weight_gradient_kind;  // x, dy -> writes gradients of weight, bias?
extern const OperationKind linear_input_gradient_kind;  // dy, weight -> dx

ValueId linear(Builder& b, const Operand& x, const Operand& weight, const std::optional<Operand>& bias, DType output);

}  // namespace stepscope
