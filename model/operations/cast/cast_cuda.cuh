// cast on a card.
#pragma once

#include "model/cuda/binding.cuh"

namespace stepscope {

[[nodiscard]] CudaRun bind_cast_cuda(const CudaBinding& binding);

}  // namespace stepscope
