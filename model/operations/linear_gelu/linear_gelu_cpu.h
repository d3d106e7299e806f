// linear_gelu and its input gradient on the CPU: a matmul into fp32, then their bodies, so that both round where a card's epilogues do.
#pragma once

#include "model/cpu/binding.h"

namespace stepscope {

[[nodiscard]] std::int64_t linear_gelu_cpu_workspace(const Program& program, const Operation& op,
                                                     const Machine& machine);
[[nodiscard]] std::int64_t linear_gelu_input_gradient_cpu_workspace(const Program& program, const Operation& op,
                                                                    const Machine& machine);

[[nodiscard]] CpuRun bind_linear_gelu_cpu(const CpuBinding& binding);
[[nodiscard]] CpuRun bind_linear_gelu_input_gradient_cpu(const CpuBinding& binding);

}  // namespace stepscope
