// add on the CPU.
#pragma once

#include "model/cpu/binding.h"

namespace stepscope {

[[nodiscard]] CpuRun bind_add_cpu(const CpuBinding& binding);

}  // namespace stepscope
