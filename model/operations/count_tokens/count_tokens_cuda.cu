#include "model/operations/count_tokens/count_tokens_cuda.cuh"

#include "model/cuda/team.cuh"
#include "model/operations/count_tokens/count_tokens_body.h"

namespace stepscope {

constexpr unsigned count_tokens_threads = 512;

static __global__ void __launch_bounds__(count_tokens_threads)
    count_tokens_kernel(const std::int32_t* targets, std::int64_t n, ControlBlock* control) {
  const double count = count_tokens_range(BlockTeam{}, targets, n);
  if (threadIdx.x != 0) return;
  control->token_count = count;
  control->loss_sum = 0;
}

CudaRun bind_count_tokens_cuda(const CudaBinding& binding) {
  const std::int32_t* targets = binding.in<const std::int32_t>(0);
  const std::int64_t n = binding.in_view(0).shape.elements();
  return [=, control = binding.control](const CudaIssue& issue) {
    launch(count_tokens_kernel, 1, count_tokens_threads, 0, issue.stream, targets, n, control);
  };
}

}  // namespace stepscope
