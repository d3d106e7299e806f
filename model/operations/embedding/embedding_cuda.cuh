// embedding and embedding_gradient on a card.
#pragma once

#include "model/cuda/binding.cuh"

namespace stepscope {

[[nodiscard]] CudaRun bind_embedding_cuda(const CudaBinding& binding);
[[nodiscard]] std::int64_t embedding_gradient_cuda_workspace(const Program& program, const Operation& operation);
[[nodiscard]] CudaRun bind_embedding_gradient_cuda(const CudaBinding& binding);

}  // namespace stepscope
