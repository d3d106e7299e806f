// gradient_norm: the Euclidean norm over all gradients, and the factor that brings it down to attributes.clip.
//     gradient_norm = sqrt(sum of squares)     clip_factor = clip / gradient_norm if clip > 0 and gradient_norm > clip, else 1
// in   control · every gradient     writes   results: gradient_norm, clip_factor     Bound by bytes: gradients read once.
#pragma once

#include "model/program/operation.h"

namespace stepscope {

extern const OperationKind gradient_norm_kind;

}  // namespace stepscope
