// gelu: the smooth gate of an MLP, in its tanh form.   g = u (1 + tanh(sqrt(2/pi) (u + 0.044715 u^3))) / 2
// in   u any float, any shape     out   g as u     Gradient from u alone, over dg's place.
// Source: Hendrycks, Gimpel 2016, arXiv:1606.08415, section 2.
#pragma once

#include "model/program/builder.h"

namespace stepscope {

extern const OperationKind gelu_kind;
extern const OperationKind gelu_gradient_kind;  // dg, u -> du

ValueId gelu(Builder& b, const Operand& u);

}  // namespace stepscope
