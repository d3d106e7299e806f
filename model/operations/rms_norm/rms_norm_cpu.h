// rms_norm and rms_norm_gradient on the CPU.
#pragma once

#include "model/cpu/binding.h"

namespace stepscope {

[[nodiscard]] CpuRun bind_rms_norm_cpu(const CpuBinding& binding);

// Partial sums of dscale, a row for every 64 rows of x.
[[nodiscard]] std::int64_t rms_norm_gradient_cpu_workspace(const Program& program, const Operation& operation,
                                                           const Machine& machine);
[[nodiscard]] CpuRun bind_rms_norm_gradient_cpu(const CpuBinding& binding);

}  // namespace stepscope
