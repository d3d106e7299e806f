// add and add_rows on a card.
#pragma once

#include "model/cuda/binding.cuh"

namespace stepscope {

[[nodiscard]] CudaRun bind_add_cuda(const CudaBinding& binding);
[[nodiscard]] CudaRun bind_add_rows_cuda(const CudaBinding& binding);

}  // namespace stepscope
