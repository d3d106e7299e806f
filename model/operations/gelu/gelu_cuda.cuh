// gelu and gelu_gradient on a card.
#pragma once

#include "model/cuda/binding.cuh"

namespace stepscope {

[[nodiscard]] CudaRun bind_gelu_cuda(const CudaBinding& binding);
[[nodiscard]] CudaRun bind_gelu_gradient_cuda(const CudaBinding& binding);

}  // namespace stepscope
