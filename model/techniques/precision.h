// precision: in which type activations live and matmuls multiply. Master parameters, gradients, moments, statistics,
// logits and losses stay in fp32. Off: fp32.
#pragma once

#include "model/techniques/list.h"

namespace stepscope {

extern const Technique precision_technique;

}  // namespace stepscope
