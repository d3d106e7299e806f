// gelu and gelu_gradient on the CPU.
#pragma once

#include "model/cpu/binding.h"

namespace stepscope {

[[nodiscard]] CpuRun bind_gelu_cpu(const CpuBinding& binding);
[[nodiscard]] CpuRun bind_gelu_gradient_cpu(const CpuBinding& binding);

}  // namespace stepscope
