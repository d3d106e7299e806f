// adam: the update of a group of parameters, after t applied updates counting this one.
//     g = gradient clip_factor     m = b1 m + (1 - b1) g     v = b2 v + (1 - b2) g^2
//     p -= learning_rate (m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + epsilon) + weight_decay p)
// With attributes.skips_overflow nothing changes in a step whose gradients overflowed (results.found_inf): t does not grow either.
// in   control · gradients g1 .. gn, fp32 or narrower · results     writes   p1, m1, v1, p2, m2, v2, ... fp32
// Bound by bytes: 4 words read and 3 written for each parameter.
// Source: Kingma, Ba 2014, arXiv:1412.6980, algorithm 1; decoupled decay: Loshchilov, Hutter 2017, arXiv:1711.05101.
#pragma once

#include "model/program/operation.h"

namespace stepscope {

extern const OperationKind adam_kind;

}  // namespace stepscope
