// add and add_rows on the CPU.
#pragma once

#include "model/cpu/binding.h"

namespace stepscope {

[[nodiscard]] CpuRun bind_add_cpu(const CpuBinding& binding);
[[nodiscard]] CpuRun bind_add_rows_cpu(const CpuBinding& binding);

}  // namespace stepscope
