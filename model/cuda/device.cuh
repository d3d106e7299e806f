// The words that kernels and their callers use beyond plain CUDA. One source serves nvcc and, in tests, a C++ compiler (host_simt).
//     block_shared<T>()      the block's static shared memory of type T: one struct a use, the same T is the same memory
//     dynamic_shared<T>()    the launch's dynamic shared memory
//     launch(kernel, grid, block, shared_bytes, stream, arguments...);           // instead of <<<>>>; throws MachineError
//     sine_of_half_turns(x)  sin(pi x) in fp64: sin itself keeps a table in local memory for arguments that are large
//     mma_16x8x16(d, a, b)   one step of a warp on tensor cores: bf16 in, sums in fp32
// __shared__, <<<>>> and PTX stand here and nowhere else.
#pragma once

#include <cuda_runtime.h>

#ifdef __CUDACC__
#define STEPSCOPE_UNROLL _Pragma("unroll")

#include <cstdint>
#include <type_traits>

#include "model/cuda/check.cuh"

namespace stepscope {

template <class T>
__device__ T& block_shared() {
  __shared__ alignas(16) unsigned char memory[sizeof(T)];
  return reinterpret_cast<T&>(memory);
}
template <class T>
__device__ T* dynamic_shared() {
  extern __shared__ __align__(16) unsigned char stepscope_dynamic_shared[];
  return reinterpret_cast<T*>(stepscope_dynamic_shared);
}

__device__ __forceinline__ double sine_of_half_turns(double x) { return sinpi(x); }
__device__ __forceinline__ double cosine_of_half_turns(double x) { return cospi(x); }

template <class... Parameters>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared_bytes, cudaStream_t stream,
            std::type_identity_t<Parameters>... arguments) {
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  STEPSCOPE_CUDA(cudaLaunchKernelEx(&config, kernel, arguments...));
}

// Fragments: PTX ISA, "Matrix fragments for mma.m16n8k16 with floating point type".
__device__ inline void mma_16x8x16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

}  // namespace stepscope

#else
#define STEPSCOPE_UNROLL
#include <host_simt/device.cuh>
#endif
