// embedding and embedding_gradient on the CPU.
#pragma once

#include "model/cpu/binding.h"

namespace stepscope {

[[nodiscard]] CpuRun bind_embedding_cpu(const CpuBinding& binding);
// Sums of a block of features in fp32, where a gradient is narrow; else nothing.
[[nodiscard]] std::int64_t embedding_gradient_cpu_workspace(const Program& program, const Operation& operation,
                                                            const Machine& machine);
[[nodiscard]] CpuRun bind_embedding_gradient_cpu(const CpuBinding& binding);

}  // namespace stepscope
