// linear, linear_weight_gradient and linear_input_gradient on a card.
#pragma once

#include "model/cuda/binding.cuh"

namespace stepscope {

[[nodiscard]] std::int64_t linear_cuda_workspace(const Program& program, const Operation& operation);
[[nodiscard]] CudaRun bind_linear_cuda(const CudaBinding& binding);
[[nodiscard]] std::int64_t linear_weight_gradient_cuda_workspace(const Program& program, const Operation& operation);
[[nodiscard]] CudaRun bind_linear_weight_gradient_cuda(const CudaBinding& binding);
[[nodiscard]] std::int64_t linear_input_gradient_cuda_workspace(const Program& program, const Operation& operation);
[[nodiscard]] CudaRun bind_linear_input_gradient_cuda(const CudaBinding& binding);

}  // namespace stepscope
