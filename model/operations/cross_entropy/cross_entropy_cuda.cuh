// cross_entropy on a card.
#pragma once

#include "model/cuda/binding.cuh"

namespace stepscope {

[[nodiscard]] std::int64_t cross_entropy_cuda_workspace(const Program& program, const Operation& operation);
[[nodiscard]] CudaRun bind_cross_entropy_cuda(const CudaBinding& binding);

}  // namespace stepscope
