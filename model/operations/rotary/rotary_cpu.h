// rotary and rotary_gradient on the CPU.
#pragma once

#include "model/cpu/binding.h"

namespace stepscope {

// A position's cosines and sines for every thread.
[[nodiscard]] std::int64_t rotary_cpu_workspace(const Program& program, const Operation& operation,
                                                const Machine& machine);
[[nodiscard]] CpuRun bind_rotary_cpu(const CpuBinding& binding);
[[nodiscard]] CpuRun bind_rotary_gradient_cpu(const CpuBinding& binding);

}  // namespace stepscope
