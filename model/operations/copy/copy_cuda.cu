#include "model/operations/copy/copy_cuda.cuh"

#include "model/program/copy.h"

namespace stepscope {

namespace {

CudaRun bind_copy_cuda(const CudaBinding& binding, cudaMemcpyKind direction) {
  const std::byte* from = binding.ins[0];
  std::byte* to = binding.outs.empty() ? binding.writes[0] : binding.outs[0];
  const auto bytes = static_cast<std::size_t>(copied_bytes(*binding.program, *binding.operation));
  return [=](const CudaIssue& issue) { STEPSCOPE_CUDA(cudaMemcpyAsync(to, from, bytes, direction, issue.stream)); };
}

}  // namespace

CudaRun bind_copy_to_host_cuda(const CudaBinding& binding) { return bind_copy_cuda(binding, cudaMemcpyDeviceToHost); }
CudaRun bind_copy_from_host_cuda(const CudaBinding& binding) { return bind_copy_cuda(binding, cudaMemcpyHostToDevice); }

}  // namespace stepscope
