// linear_gelu: linear and gelu as one operation, where a machine's matmul has both (model/operations/lowering.h chooses).
//     u = x weight + bias     g = gelu(u), of u before it is rounded
// in   x [.., I], weight [I, O], bias [O], one compute type     out   u, g [.., O] of that type
// u is an output of its own, which backward reads: neither can be had without the other. So g differs from gelu of the stored u in its
// last bits, and what is made again is made by this same operation.
// Gradient: where g is read by one linear alone, that one's input gradient is du at once (linear_gelu_input_gradient), else gelu's.
// Bound by FLOPs, as linear; beside it g costs one element written and none read.
#pragma once

#include <optional>

#include "model/program/builder.h"

namespace stepscope {

class Differentiation;

extern const OperationKind linear_gelu_kind;
extern const OperationKind linear_gelu_input_gradient_kind;  // dy, weight, u -> du = (dy weight^T) gelu'(u)

ValueId linear_gelu(Builder& b, const Operand& x, const Operand& weight, const Operand& bias);  // g

// u, where `x` is the g of a linear_gelu of the forward pass and nobody else reads it.
[[nodiscard]] std::optional<ValueId> pre_activation_of(const Differentiation& d, const Operand& x);

}  // namespace stepscope
