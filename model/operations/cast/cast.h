// cast: a parameter in the type that matmuls read it in, rounded to nearest even, once a step.
// in   a parameter, fp32     writes   its copy     Bound by bytes: each read once, written once.
#pragma once

#include "model/program/builder.h"

namespace stepscope {

extern const OperationKind cast_kind;

void cast_copies(Builder& b);  // a prologue operation for every copy that the builder made

}  // namespace stepscope
