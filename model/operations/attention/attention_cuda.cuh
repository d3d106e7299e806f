// attention and attention_gradient on a card.
#pragma once

#include "model/cuda/binding.cuh"

namespace stepscope {

// Of both. Throws Unsupported where cuDNN is to compute them and is not here.
[[nodiscard]] std::int64_t attention_cuda_workspace(const Program& program, const Operation& op);
[[nodiscard]] CudaRun bind_attention_cuda(const CudaBinding& binding);
[[nodiscard]] CudaRun bind_attention_gradient_cuda(const CudaBinding& binding);

}  // namespace stepscope
