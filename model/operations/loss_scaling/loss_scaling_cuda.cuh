// unscale_gradients and update_loss_scale on a card.
#pragma once

#include "model/cuda/binding.cuh"

namespace stepscope {

[[nodiscard]] std::int64_t unscale_gradients_cuda_workspace(const Program& program, const Operation& operation);
[[nodiscard]] CudaRun bind_unscale_gradients_cuda(const CudaBinding& binding);
[[nodiscard]] CudaRun bind_update_loss_scale_cuda(const CudaBinding& binding);

}  // namespace stepscope
