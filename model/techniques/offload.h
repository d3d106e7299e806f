// offload: what lies in host memory between its uses, on the other side of a card's link. Off: "none".
//     "optimizer" its moments · "master" fp32 parameters that matmuls read as narrower copies alone · "activations:TARGET" what
//     backward reads of a target of checkpointing and is kept · one of them or a list; beside them "window:N": the copies of at
//     most N operations in flight in each direction, 0 nothing runs beside a copy; else as the link's rate asks for
// Copies run beside other work and change no bit; what they cost is the wait that their window cannot hide
// (program/copy_schedule.h). On a CPU both memories are the same: there is nothing to win, and every law can be tested.
// Source: Rhu et al. 2016, arXiv:1602.08124 (activations); Ren et al. 2021, arXiv:2101.06840 (states).
#pragma once

#include "model/techniques/list.h"

namespace stepscope {

extern const Technique offload_technique;

// The values of a forward pass that a choice sends to the host. Throws UsageError for a target that names nothing in it.
[[nodiscard]] KeepSet offloaded_values(const Program& forward, const KeepSet& keep, const OffloadChoice& choice);

// Moves states to host memory and streams them through the device where the prologue and the update need them: forward, backward and
// update must be there. Throws UsageError for "master" where nothing has a narrower copy.
void offload_states(Program& program, const OffloadChoice& choice);

}  // namespace stepscope
