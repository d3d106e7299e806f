// count_tokens on the CPU.
#pragma once

#include "model/cpu/binding.h"

namespace stepscope {

[[nodiscard]] CpuRun bind_count_tokens_cpu(const CpuBinding& binding);

}  // namespace stepscope
