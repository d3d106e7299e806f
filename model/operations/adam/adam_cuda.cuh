// adam on a card.
#pragma once

#include "model/cuda/binding.cuh"

namespace stepscope {

[[nodiscard]] std::int64_t adam_cuda_workspace(const Program& program, const Operation& operation);
[[nodiscard]] CudaRun bind_adam_cuda(const CudaBinding& binding);

}  // namespace stepscope
