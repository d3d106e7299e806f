// attention and attention_gradient on a card.
#pragma once

#include "model/cuda/binding.cuh"

namespace stepscope {

[[nodiscard]] CudaRun bind_attention_cuda(const CudaBinding& binding);
[[nodiscard]] CudaRun bind_attention_gradient_cuda(const CudaBinding& binding);

}  // namespace stepscope
