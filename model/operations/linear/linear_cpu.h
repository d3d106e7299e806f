// linear and its two gradients on the CPU: matmuls of model/cpu/matmul.h, workspaces planned for machine.threads threads.
#pragma once

#include "model/cpu/binding.h"

namespace stepscope {

[[nodiscard]] std::int64_t linear_cpu_workspace(const Program& program, const Operation& op, const Machine& machine);
[[nodiscard]] std::int64_t linear_weight_gradient_cpu_workspace(const Program& program, const Operation& op,
                                                                const Machine& machine);
[[nodiscard]] std::int64_t linear_input_gradient_cpu_workspace(const Program& program, const Operation& op,
                                                               const Machine& machine);

[[nodiscard]] CpuRun bind_linear_cpu(const CpuBinding& binding);
[[nodiscard]] CpuRun bind_linear_weight_gradient_cpu(const CpuBinding& binding);
[[nodiscard]] CpuRun bind_linear_input_gradient_cpu(const CpuBinding& binding);

}  // namespace stepscope
