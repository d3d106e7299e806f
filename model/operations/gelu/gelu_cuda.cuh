// gelu and gelu_gradient on a card.
#pragma once

#include "model/cuda/binding.cuh"

namespace stepscope {

// Over n elements; g may lie over u, du over dg.
[[nodiscard]] CudaRun gelu_run(DType dtype, const std::byte* u, std::byte* g, std::int64_t n);
[[nodiscard]] CudaRun gelu_gradient_run(DType dtype, const std::byte* dg, const std::byte* u, std::byte* du,
                                        std::int64_t n);
[[nodiscard]] CudaRun bind_gelu_cuda(const CudaBinding& binding);
[[nodiscard]] CudaRun bind_gelu_gradient_cuda(const CudaBinding& binding);

}  // namespace stepscope
