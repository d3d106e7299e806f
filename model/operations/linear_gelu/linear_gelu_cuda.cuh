// linear_gelu and linear_gelu_input_gradient on a card: cuBLASLt's epilogues GELU_AUX_BIAS and DGELU, whose GELU is the tanh one as ours.
// Where the library has none for a shape, its matmul and our kernel: which of both follows from the shape alone, for repeats too. BGRAD,
// which would sum the bias gradient in the same call, is left: it rounds the sums to du's narrow type, ours are fp32.
#pragma once

#include "model/cuda/binding.cuh"

namespace stepscope {

[[nodiscard]] CudaRun bind_linear_gelu_cuda(const CudaBinding& binding);
[[nodiscard]] CudaRun bind_linear_gelu_input_gradient_cuda(const CudaBinding& binding);

}  // namespace stepscope
