// cross_entropy on the CPU.
#pragma once

#include "model/cpu/binding.h"

namespace stepscope {

// The loss of every row, in fp64.
[[nodiscard]] std::int64_t cross_entropy_cpu_workspace(const Program& program, const Operation& operation,
                                                       const Machine& machine);
[[nodiscard]] CpuRun bind_cross_entropy_cpu(const CpuBinding& binding);

}  // namespace stepscope
