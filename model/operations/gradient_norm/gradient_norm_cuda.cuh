// gradient_norm on a card.
#pragma once

#include "model/cuda/binding.cuh"

namespace stepscope {

[[nodiscard]] std::int64_t gradient_norm_cuda_workspace(const Program& program, const Operation& operation);
[[nodiscard]] CudaRun bind_gradient_norm_cuda(const CudaBinding& binding);

}  // namespace stepscope
