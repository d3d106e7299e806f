// swiglu and swiglu_gradient on the CPU.
#pragma once

#include "model/cpu/binding.h"

namespace stepscope {

[[nodiscard]] CpuRun bind_swiglu_cpu(const CpuBinding& binding);
[[nodiscard]] CpuRun bind_swiglu_gradient_cpu(const CpuBinding& binding);

}  // namespace stepscope
