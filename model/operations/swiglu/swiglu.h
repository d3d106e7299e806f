// swiglu: a gated MLP's middle, silu of the gate times the other half.   g = gate s(gate) up,   s(z) = 1 / (1 + exp(-z))
// in   gate, up any float, one shape     out   g as they     Gradients of both from gate and up.
// Source: Shazeer 2020, arXiv:2002.05202, equation 6; silu: Elfwing, Uchibe, Doya 2017, arXiv:1702.03118.
#pragma once

#include "model/program/builder.h"

namespace stepscope {

extern const OperationKind swiglu_kind;
extern const OperationKind swiglu_gradient_kind;  // dg, gate, up -> dgate, dup

ValueId swiglu(Builder& b, const Operand& gate, const Operand& up);

}  // namespace stepscope
