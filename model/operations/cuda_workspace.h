// What an operation needs on a card beside its operands, for those who plan and know nothing of CUDA.
// Of a build without CUDA (no_cuda.cpp) it throws Unsupported.
#pragma once

#include <cstdint>

#include "model/program/program.h"

namespace stepscope {

[[nodiscard]] std::int64_t cuda_workspace_bytes(const Program& program, const Operation& operation);

}  // namespace stepscope
