// dropout_add: a block's output, thinned, joins the residual stream.   y = residual + branch keep / (1 - rate)
// keep of element (token t, feature f) is drawn from Philox: key (seed, site), counter (step, t, f / 4), lane f % 4, t the
// token's index in the whole step: the same elements are dropped however the batch is split, and again in a repeat.
// in   branch any float, residual as branch or fp32, one shape [B, S, H] · control     out   y as residual, in the place of either
// Gradient: the residual's is dy itself; the branch's is dy keep / (1 - rate), drawn again, in the branch's type. rate 0 is a plain addition.
// Source: Srivastava et al. 2014, JMLR 15:1929; Salmon et al. 2011 (Philox4x32-10).
#pragma once

#include "model/program/builder.h"

namespace stepscope {

extern const OperationKind dropout_add_kind;
extern const OperationKind dropout_gradient_kind;  // dy, control -> dbranch

ValueId dropout_add(Builder& b, const Operand& branch, const Operand& residual, double rate);

}  // namespace stepscope
