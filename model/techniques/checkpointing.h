// checkpointing: which activations are kept for backward; the others are made again. Off: "none", all are kept.
//     "none" · a target or a list of them · "every-K": the blocks of K layers at a time · "budget:SIZE", "budget:P%", "budget:auto"
// A target is a layer class (MLPBlock, AttentionBlock, TransformerBlock), a layer's path (blocks.3.mlp) or an operation
// (attention). What is made inside a target and read only there is dropped. A budget is for states and arena, on a card with its
// context and libraries: SIZE, or all that the device has, or states and P % of the arena that keeping everything takes; what is kept
// then is the fastest that fits.
#pragma once

#include "model/techniques/list.h"

namespace stepscope {

extern const Technique checkpointing_technique;

// Throws UsageError for a target that names nothing in this program.
[[nodiscard]] KeepSet keep_outside(const Program& forward, const std::vector<std::string>& targets);
// The values of `all` that are made inside a target, whoever reads them; `technique` is named in errors.
[[nodiscard]] KeepSet made_inside(const Program& forward, const KeepSet& all, std::string_view target,
                                  std::string_view technique);
[[nodiscard]] KeepSet keep_every(const Program& forward, int blocks);

}  // namespace stepscope
