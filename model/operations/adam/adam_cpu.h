// adam on the CPU.
#pragma once

#include "model/cpu/binding.h"

namespace stepscope {

[[nodiscard]] CpuRun bind_adam_cpu(const CpuBinding& binding);

}  // namespace stepscope
