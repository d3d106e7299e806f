#include "model/operations/cross_entropy/cross_entropy_cuda.cuh"

#include "model/cuda/team.cuh"
#include "model/operations/cross_entropy/cross_entropy_body.h"

namespace stepscope {

__device__ inline double inverse_token_count(const ControlBlock& control) {
  return control.token_count > 0 ? 1 / control.token_count : 0;
}

// A block a row. Moves 2 V fp32 (the second reading comes from the second-level cache) and V elements of the gradient.
template <class T>
__global__ void cross_entropy_kernel(const float* logits, const std::int32_t* all_targets, std::int64_t micro_stride,
                                     const ControlBlock* control, T* dlogits, double* row_loss, std::int64_t columns) {
  const std::int64_t row = blockIdx.x;
  const std::int32_t target = all_targets[control->micro_step * micro_stride + row];
  const auto factor = static_cast<float>(inverse_token_count(*control) * control->loss_scale);
  const double loss =
      cross_entropy_row(BlockTeam{}, logits + row * columns, target, factor, dlogits + row * columns, columns);
  if (threadIdx.x == 0) row_loss[row] = loss;
}

constexpr unsigned loss_threads = 512;

static __global__ void __launch_bounds__(loss_threads)
    loss_kernel(const double* row_loss, std::int64_t rows, ControlBlock* control, float* loss) {
  const double sum = BlockTeam{}.sum<double>(rows, [=](std::int64_t row) { return row_loss[row]; });
  if (threadIdx.x != 0) return;
  control->loss_sum += sum;
  *loss = static_cast<float>(sum * inverse_token_count(*control));
}

std::int64_t cross_entropy_cuda_workspace(const Program&, const Operation& operation) {
  return operation.ins[0].view.shape.rows() * static_cast<std::int64_t>(sizeof(double));
}

CudaRun bind_cross_entropy_cuda(const CudaBinding& binding) {
  if (binding.in_dtype(0) != DType::fp32) throw Unsupported("CUDA: cross_entropy reads fp32 logits alone");
  return dispatch_cuda(binding.out_type(1).dtype, [&]<class T>() -> CudaRun {
    const float* logits = binding.in<const float>(0);
    const std::int32_t* targets = binding.in<const std::int32_t>(1);
    const std::int64_t micro_stride = binding.in_view(1).micro_stride;
    float* loss = binding.out<float>(0);
    T* dlogits = binding.out<T>(1);
    auto* row_loss = reinterpret_cast<double*>(binding.workspace);
    const std::int64_t columns = binding.in_view(0).shape.last(), rows = binding.in_view(0).shape.rows();
    return [=, control = binding.control](const CudaIssue& issue) {
      launch(cross_entropy_kernel<T>, static_cast<unsigned>(rows), threads_for_row(columns), 0, issue.stream, logits,
             targets, micro_stride, control, dlogits, row_loss, columns);
      launch(loss_kernel, 1, loss_threads, 0, issue.stream, row_loss, rows, control, loss);
    };
  });
}

}  // namespace stepscope
