// dropout_add and dropout_gradient on the CPU.
#pragma once

#include "model/cpu/binding.h"

namespace stepscope {

[[nodiscard]] CpuRun bind_dropout_add_cpu(const CpuBinding& binding);
[[nodiscard]] CpuRun bind_dropout_gradient_cpu(const CpuBinding& binding);

}  // namespace stepscope
