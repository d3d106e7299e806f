// A program as text, one line an operation, stable enough to diff:
//     41 recompute %52:bf16[64,64]@0x1a000 = layer_norm(%15, blocks.1.mlp.norm.scale, ...)  # blocks.1.mlp.norm  live 40..51
#pragma once

#include <string>

#include "model/program/memory_plan.h"
#include "model/program/program.h"

namespace stepscope {

[[nodiscard]] std::string print(const Program& program, const MemoryPlan& plan);

}  // namespace stepscope
