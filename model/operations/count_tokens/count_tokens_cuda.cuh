// count_tokens on a card.
#pragma once

#include "model/cuda/binding.cuh"

namespace stepscope {

[[nodiscard]] CudaRun bind_count_tokens_cuda(const CudaBinding& binding);

}  // namespace stepscope
