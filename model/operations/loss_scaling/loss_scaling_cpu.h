// unscale_gradients and update_loss_scale on the CPU.
#pragma once

#include "model/cpu/binding.h"

namespace stepscope {

// The partial sums, in fp64.
[[nodiscard]] std::int64_t unscale_gradients_cpu_workspace(const Program& program, const Operation& operation,
                                                           const Machine& machine);
[[nodiscard]] CpuRun bind_unscale_gradients_cpu(const CpuBinding& binding);
[[nodiscard]] CpuRun bind_update_loss_scale_cpu(const CpuBinding& binding);

}  // namespace stepscope
