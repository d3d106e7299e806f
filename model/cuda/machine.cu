#include "model/cuda/machine.cuh"

#include "model/cuda/check.cuh"

namespace stepscope {

Machine this_card() {
  int count = 0;
  if (const cudaError_t error = cudaGetDeviceCount(&count); error != cudaSuccess || count == 0)
    throw Unsupported(std::string("no card: ") + (error == cudaSuccess ? "none is there" : cudaGetErrorString(error)));
  cudaDeviceProp properties{};
  STEPSCOPE_CUDA(cudaGetDeviceProperties(&properties, 0));
  Machine machine;
  machine.kind = Machine::Kind::cuda;
  machine.has_kernels = true;
  machine.name = properties.name;
  machine.native_bf16 = properties.major >= 8;
  machine.native_fp16 = properties.major >= 7;
  machine.tf32 = properties.major >= 8;
  machine.memory_bytes = static_cast<std::int64_t>(properties.totalGlobalMem);
  return machine;
}

}  // namespace stepscope
