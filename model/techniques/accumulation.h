// accumulation: the step's batch is computed in N micro-batches whose gradients add up. Off: 1.
// The loss is divided by the token count of the whole step, so every N computes the same step.
#pragma once

#include "model/techniques/list.h"

namespace stepscope {

extern const Technique accumulation_technique;

}  // namespace stepscope
