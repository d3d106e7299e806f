// Matmuls by cuBLASLt: c [m,n] = a [m,k] b [k,n] (+ bias), or c += a b, row-major, sums in fp32.
//     const CudaMatmul matmul(library, spec, tf32, {.a = x, .b = weight, .c = y, .workspace = workspace});     // when a program is bound
//     matmul.issue(stream, false);
//     const CudaMatmul heads(library, spec, tf32, addresses, {.count = B * H, .a_stride = S * D, ...});     // many in one call
// cuBLASLt's matrices are column-major, so it is asked for the transpose of c: b's rows times a's. Throws MachineError where it refuses.
#pragma once

#include <cublasLt.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

#include "model/base/matmul_spec.h"
#include "model/cuda/handles.cuh"

namespace stepscope {

// What a call may take of the arena: room for sixteen partial sums where an algorithm splits k, at most what NVIDIA advises for Hopper.
[[nodiscard]] inline std::int64_t matmul_workspace_bytes(const MatmulSpec& spec) {
  constexpr std::int64_t least = std::int64_t{64} << 10, most = std::int64_t{32} << 20;
  const std::int64_t sums = 16 * spec.m * spec.n * static_cast<std::int64_t>(sizeof(float));
  return round_up(sums < most - least ? least + sums : most, 256);
}

class MatmulLibrary {
 public:
  MatmulLibrary();
  ~MatmulLibrary();
  MatmulLibrary(const MatmulLibrary&) = delete;
  MatmulLibrary& operator=(const MatmulLibrary&) = delete;
  [[nodiscard]] cublasLtHandle_t get() const { return handle_; }

 private:
  cublasLtHandle_t handle_ = nullptr;
};

struct MatmulBatch {  // how far apart the operands of one matmul and the next begin, in elements; 0: they share it
  std::int64_t count = 1, a_stride = 0, b_stride = 0, c_stride = 0;
};

struct CudaMatmulAddresses {
  const void* a = nullptr;
  const void* b = nullptr;
  void* c = nullptr;
  const void* bias = nullptr;  // [n], of c's type; only where spec.bias
  std::byte* workspace = nullptr;  // matmul_workspace_bytes, 256-byte aligned
};

class CudaMatmul {
 public:
  // tf32: fp32 operands are rounded to 11 bits, for tensor cores. Addresses say how operands are aligned.
  CudaMatmul(const MatmulLibrary& library, const MatmulSpec& spec, bool tf32, const CudaMatmulAddresses& at,
             const MatmulBatch& batch = {});
  void issue(cudaStream_t stream, bool add) const;  // add: only where spec.may_add

 private:
  struct Free {
    void operator()(cublasLtMatmulDesc_t desc) const { cublasLtMatmulDescDestroy(desc); }
    void operator()(cublasLtMatrixLayout_t layout) const { cublasLtMatrixLayoutDestroy(layout); }
  };
  using Desc = std::unique_ptr<std::remove_pointer_t<cublasLtMatmulDesc_t>, Free>;
  using Layout = std::unique_ptr<std::remove_pointer_t<cublasLtMatrixLayout_t>, Free>;
  void choose_algorithm(const MatmulSpec& spec, const MatmulBatch& batch);

  const MatmulLibrary* library_;
  CudaMatmulAddresses at_;
  Desc desc_;
  Layout left_, right_, result_;  // as cuBLASLt sees them: b, a, c
  cublasLtMatmulAlgo_t algorithm_{};
  std::size_t workspace_bytes_ = 0;
};

}  // namespace stepscope
