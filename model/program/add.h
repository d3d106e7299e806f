// add: c = a + b, the one operation that differentiation itself needs: a value read twice has two gradients.
// in   a, b any float, one shape     out   c as a, in a's or b's place     Bound by bytes: 3 elements moved for each.
#pragma once

#include "model/program/operation.h"

namespace stepscope {

extern const OperationKind add_kind;

}  // namespace stepscope
