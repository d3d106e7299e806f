// rotary and rotary_gradient on a card.
#pragma once

#include "model/cuda/binding.cuh"

namespace stepscope {

[[nodiscard]] std::int64_t rotary_cuda_workspace(const Program& program, const Operation& operation);
[[nodiscard]] CudaRun bind_rotary_cuda(const CudaBinding& binding);
[[nodiscard]] CudaRun bind_rotary_gradient_cuda(const CudaBinding& binding);

}  // namespace stepscope
