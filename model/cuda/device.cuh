// The words that kernels and their callers use beyond plain CUDA. One source serves nvcc and, in tests, a C++ compiler (host_simt).
//     block_shared<T>()      the block's static shared memory of type T: one struct a use, the same T is the same memory
//     dynamic_shared<T>()    the launch's dynamic shared memory
//     launch(kernel, grid, block, shared_bytes, stream, arguments...);           // instead of <<<>>>; throws MachineError
//     sine_of_half_turns(x)  sin(pi x) in fp64: sin itself keeps a table in local memory for arguments that are large
//     power_of_2(x)          2^x in one instruction: within 2^-22 of itself, 0 below 2^-126 and at -inf
//     mma_16x8x16<T>(d, a, b)        one step of a warp on tensor cores: bf16 or fp16 in, sums in fp32
//     load_matrices(r, at)           four 8 x 8 matrices of shared memory, as that step takes them; _transposed: each turned
//     two_of<T>(low, high)           two floats rounded to T, in one register
//     copy_16(to, from, present)     16 bytes to shared memory, else zeros: there after wait_for_copies() and a barrier
// __shared__, <<<>>> and PTX stand here and nowhere else.
#pragma once

#include <cuda_runtime.h>

#ifdef __CUDACC__
#define STEPSCOPE_UNROLL _Pragma("unroll")

#include <cstdint>
#include <type_traits>

#include "model/base/half.h"
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

__device__ __forceinline__ float power_of_2(float x) {
  float power;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x));
  return power;
}

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
template <class T>
__device__ __forceinline__ void mma_16x8x16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  if constexpr (std::is_same_v<T, bf16>)
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  else
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// An address in shared memory, to which bytes may be added.
using SharedAddress = std::uint32_t;
__device__ __forceinline__ SharedAddress shared_address(const void* at) {
  return static_cast<SharedAddress>(__cvta_generic_to_shared(at));
}

// Lane l says where row l % 8 of matrix l / 8 begins, aligned to its 16 bytes; r[m] is two elements of matrix m.
__device__ __forceinline__ void load_matrices(std::uint32_t (&r)[4], SharedAddress row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(row)
               : "memory");
}
__device__ __forceinline__ void load_matrices_transposed(std::uint32_t (&r)[4], SharedAddress row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(row)
               : "memory");
}

template <class T>
__device__ __forceinline__ std::uint32_t two_of(float low, float high) {
  std::uint32_t both;
  if constexpr (std::is_same_v<T, bf16>)
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
  else
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
  return both;
}

__device__ __forceinline__ void copy_16(SharedAddress to, const void* from, bool present) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(__cvta_generic_to_global(from)),
               "r"(present ? 16 : 0)
               : "memory");
}
__device__ __forceinline__ void wait_for_copies() { asm volatile("cp.async.wait_all;" ::: "memory"); }

}  // namespace stepscope

#else
#define STEPSCOPE_UNROLL
#include <host_simt/device.cuh>
#endif
