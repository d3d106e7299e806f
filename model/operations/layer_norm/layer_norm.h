// layer_norm: each row of x is centred and scaled to unit variance, then each feature is scaled and shifted.
//     mean = sum(x) / H     rstd = 1 / sqrt(sum((x - mean)^2) / H + epsilon)     y = (x - mean) rstd scale + bias
// in   x [.., H] of the residual stream · scale [H], bias [H] fp32     out   y in attributes.output · statistics mean, rstd [N] fp32     N = rows of x
// Gradient from x, mean, rstd; it adds what the gradient of x already has (the residual stream) in the same pass.
// Source: Ba, Kiros, Hinton 2016, arXiv:1607.06450, section 3.
#pragma once

#include "model/program/builder.h"

namespace stepscope {

extern const OperationKind layer_norm_kind;  // -> y, mean, rstd
extern const OperationKind
    layer_norm_gradient_kind;  // dy, x, mean, rstd, scale, so_far? -> dx, writes gradients of scale, bias

ValueId layer_norm(Builder& b, const Operand& x, const Operand& scale, const Operand& bias, double epsilon);

}  // namespace stepscope
