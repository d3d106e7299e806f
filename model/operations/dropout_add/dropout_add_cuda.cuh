// dropout_add and dropout_gradient on a card.
#pragma once

#include "model/cuda/binding.cuh"

namespace stepscope {

[[nodiscard]] CudaRun bind_dropout_add_cuda(const CudaBinding& binding);
[[nodiscard]] CudaRun bind_dropout_gradient_cuda(const CudaBinding& binding);

}  // namespace stepscope
