// copy_to_host and copy_from_host on a card: by its copy engines, from and to pinned memory.
#pragma once

#include "model/cuda/binding.cuh"

namespace stepscope {

[[nodiscard]] CudaRun bind_copy_to_host_cuda(const CudaBinding& binding);
[[nodiscard]] CudaRun bind_copy_from_host_cuda(const CudaBinding& binding);

}  // namespace stepscope
