// attention and its gradient on the CPU: a task is a block of 64 queries of a head (backward: a head), scores live in its thread's slot.
#pragma once

#include "model/cpu/binding.h"

namespace stepscope {

[[nodiscard]] std::int64_t attention_cpu_workspace(const Program& program, const Operation& op, const Machine& machine);
[[nodiscard]] std::int64_t attention_gradient_cpu_workspace(const Program& program, const Operation& op,
                                                            const Machine& machine);

[[nodiscard]] CpuRun bind_attention_cpu(const CpuBinding& binding);
[[nodiscard]] CpuRun bind_attention_gradient_cpu(const CpuBinding& binding);

}  // namespace stepscope
