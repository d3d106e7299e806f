// copy_to_host and copy_from_host on the CPU: done in place, for there is nothing beside which they could run.
#pragma once

#include "model/cpu/binding.h"

namespace stepscope {

[[nodiscard]] CpuRun bind_copy_cpu(const CpuBinding& binding);

}  // namespace stepscope
