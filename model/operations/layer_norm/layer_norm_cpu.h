// layer_norm and layer_norm_gradient on the CPU.
#pragma once

#include "model/cpu/binding.h"

namespace stepscope {

[[nodiscard]] CpuRun bind_layer_norm_cpu(const CpuBinding& binding);

// Partial sums of dscale and dbias, a row of each for every 64 rows of x.
[[nodiscard]] std::int64_t layer_norm_gradient_cpu_workspace(const Program& program, const Operation& operation,
                                                             const Machine& machine);
[[nodiscard]] CpuRun bind_layer_norm_gradient_cpu(const CpuBinding& binding);

}  // namespace stepscope
