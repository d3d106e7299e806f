// rms_norm: each row of x is scaled to a mean square of one, then each feature is scaled.
//     rstd = 1 / sqrt(sum(x^2) / H + epsilon)     y = x rstd scale
// in   x [.., H] of the residual stream · scale [H] fp32     out   y in attributes.output · statistic rstd [N] fp32     N = rows of x
// Gradient from x and rstd; it adds what the gradient of x already has (the residual stream) in the same pass.
// Source: Zhang, Sennrich 2019, arXiv:1910.07467, equation 4.
#pragma once

#include "model/program/builder.h"

namespace stepscope {

extern const OperationKind rms_norm_kind;  // -> y, rstd
extern const OperationKind rms_norm_gradient_kind;  // dy, x, rstd, scale, so_far? -> dx, writes the gradient of scale

ValueId rms_norm(Builder& b, const Operand& x, const Operand& scale, double epsilon);

}  // namespace stepscope
