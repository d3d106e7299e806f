// qk_norm and qk_norm_gradient on the CPU.
#pragma once

#include "model/cpu/binding.h"

namespace stepscope {

[[nodiscard]] CpuRun bind_qk_norm_cpu(const CpuBinding& binding);

// Partial sums of the scales' gradients, a row of each for every 64 rows of qkv.
[[nodiscard]] std::int64_t qk_norm_gradient_cpu_workspace(const Program& program, const Operation& operation,
                                                          const Machine& machine);
[[nodiscard]] CpuRun bind_qk_norm_gradient_cpu(const CpuBinding& binding);

}  // namespace stepscope
