// precision: in which type activations live and matmuls multiply. Master parameters, gradients, moments, statistics,
// logits and losses stay in fp32. Off: fp32.
//     fp32 · bf16 · fp16, with dynamic loss scaling (operations/loss_scaling) · tf32: fp32 that a GPU's tensor cores multiply
#pragma once

#include "model/techniques/list.h"

namespace stepscope {

extern const Technique precision_technique;

}  // namespace stepscope
