// An operation tied to its memory on a card: addresses are fixed when a program is loaded, a step only issues work.
//     CudaRun run = cuda_row_of(*operation.kind).bind(binding);       // may make descriptors, choose algorithms
//     run({.stream = stream.get(), .first_micro_step = true});        // issues, waits for nothing, allocates nothing: may be captured
#pragma once

#include <functional>
#include <string>

#include "model/base/error.h"
#include "model/base/half.h"
#include "model/cuda/cudnn_attention.h"
#include "model/cuda/device.cuh"
#include "model/cuda/matmul.cuh"
#include "model/program/binding.h"

namespace stepscope {

struct CudaBinding : OperationBinding {
  MatmulLibrary* matmuls = nullptr;  // outlives the program
  CudnnLibrary* cudnn = nullptr;  // likewise
};

struct CudaIssue {
  cudaStream_t stream = nullptr;
  bool first_micro_step = true;  // known to the host; which later one it is stands in the control block alone
};

using CudaRun = std::function<void(const CudaIssue&)>;

struct CudaOperation {
  std::int64_t (*workspace_bytes)(const Program&, const Operation&) = nullptr;  // null: none
  CudaRun (*bind)(const CudaBinding&) = nullptr;
  bool multiplies = false;  // by binding.matmuls
};

// Calls body<T>() for what a card computes in: fp32, bf16 or fp16. Throws Unsupported for fp64, which is for tests on a CPU.
template <class Body>
decltype(auto) dispatch_cuda(DType dtype, Body&& body) {
  switch (dtype) {
    case DType::fp32: return body.template operator()<float>();
    case DType::bf16: return body.template operator()<bf16>();
    case DType::fp16: return body.template operator()<fp16>();
    default: throw Unsupported("CUDA: " + std::string(name_of(dtype)) + " is computed on a CPU only");
  }
}

// R the residual stream's type, T a branch's: the same, or fp32 beside a narrow one (model/cpu/residual_types.h).
template <class Body>
decltype(auto) dispatch_cuda_residual(DType residual, DType branch, Body&& body) {
  return dispatch_cuda(branch, [&]<class T>() {
    if (residual == DType::fp32) return body.template operator()<float, T>();
    if (residual != branch) throw ProgramError("V2", "a residual stream of another narrow type than its branch");
    return body.template operator()<T, T>();
  });
}

}  // namespace stepscope
