// attention and attention_gradient by cuDNN, where their algorithm says so (attention_library.h): in place of the kernels of
// attention_cuda.cu and attention_flash_cuda.cu.
//     if (by_library(*binding.operation)) return bind_cudnn_attention_cuda(binding);
#pragma once

#include "model/cuda/binding.cuh"

namespace stepscope {

[[nodiscard]] CudaRun bind_cudnn_attention_cuda(const CudaBinding& binding);
[[nodiscard]] CudaRun bind_cudnn_attention_gradient_cuda(const CudaBinding& binding);

}  // namespace stepscope
