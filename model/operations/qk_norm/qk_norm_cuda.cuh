// qk_norm and qk_norm_gradient on a card.
#pragma once

#include "model/cuda/binding.cuh"

namespace stepscope {

[[nodiscard]] CudaRun bind_qk_norm_cuda(const CudaBinding& binding);
[[nodiscard]] std::int64_t qk_norm_gradient_cuda_workspace(const Program& program, const Operation& operation);
[[nodiscard]] CudaRun bind_qk_norm_gradient_cuda(const CudaBinding& binding);

}  // namespace stepscope
