// gradient_norm on the CPU.
#pragma once

#include "model/cpu/binding.h"

namespace stepscope {

// The partial sums, in fp64.
[[nodiscard]] std::int64_t gradient_norm_cpu_workspace(const Program& program, const Operation& operation,
                                                       const Machine& machine);
[[nodiscard]] CpuRun bind_gradient_norm_cpu(const CpuBinding& binding);

}  // namespace stepscope
