// cast on the CPU.
#pragma once

#include "model/cpu/binding.h"

namespace stepscope {

[[nodiscard]] CpuRun bind_cast_cpu(const CpuBinding& binding);

}  // namespace stepscope
