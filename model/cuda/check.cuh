// CUDA's errors as this project's.
//     STEPSCOPE_CUDA(cudaMalloc(&at, bytes));            // throws MachineError: file, line, call, what CUDA says
//     STEPSCOPE_CUDA_NOTHROW(cudaFree(at));              // in destructors: the same on stderr, and goes on
#pragma once

#include <cuda_runtime.h>

#include <cstdio>
#include <string>

#include "model/base/error.h"

namespace stepscope {

struct CudaCall {
  const char *text, *file;
  int line;
  [[nodiscard]] std::string failed(const char* why) const {
    return std::string(file) + ":" + std::to_string(line) + ": " + text + ": " + why;
  }
};

inline void check_cuda(cudaError_t error, const CudaCall& call) {
  if (error != cudaSuccess) throw MachineError(call.failed(cudaGetErrorString(error)));
}
inline void report_cuda(cudaError_t error, const CudaCall& call) noexcept {
  if (error != cudaSuccess)
    std::fprintf(stderr, "%s:%d: %s: %s\n", call.file, call.line, call.text, cudaGetErrorString(error));
}

}  // namespace stepscope

#define STEPSCOPE_CUDA(...) ::stepscope::check_cuda(__VA_ARGS__, {#__VA_ARGS__, __FILE__, __LINE__})
#define STEPSCOPE_CUDA_NOTHROW(...) ::stepscope::report_cuda(__VA_ARGS__, {#__VA_ARGS__, __FILE__, __LINE__})
