// Dynamic loss scaling: gradients of a narrow type are kept from vanishing by a factor on the loss, which is found while training.
// unscale_gradients    g = g / loss_scale for every gradient, in place; the norm over all of them and the clip factor as gradient_norm
//                      has them; found_inf = 1 where any gradient is infinite or no number
//     in   results     writes   results: gradient_norm, clip_factor, found_inf · every gradient     Bound by bytes: read and written once
// update_loss_scale    last in a step: after an overflow the scale is halved and the step is counted as skipped; after
//                      attributes.growth_interval clean steps it doubles. It stays from 1 to 2^64.
//     in   results     writes   results: loss_scale, clean_steps, skips
// The scale is a power of two, so that both ways are exact. Between the two stand the operations that update parameters; those with
// attributes.skips_overflow do nothing where found_inf is set.
// Source: Micikevicius et al. 2018, arXiv:1710.03740, section 3.2; the dynamic scale, NVIDIA, "Train With Mixed Precision", section 3.
#pragma once

#include "model/program/operation.h"

namespace stepscope {

extern const OperationKind unscale_gradients_kind;
extern const OperationKind update_loss_scale_kind;

}  // namespace stepscope
