#include "model/operations/loss_scaling/loss_scaling_cuda.cuh"

#include "model/operations/gradient_norm/gradient_parts.cuh"
#include "model/operations/loss_scaling/loss_scaling_body.h"

namespace stepscope {

// Moves each gradient twice.
static __global__ void __launch_bounds__(range_threads)
    unscale_kernel(GradientGroup group, const ControlBlock* control, double* partial) {
  const TensorRange range = group.range();
  const auto inverse = static_cast<float>(1 / control->loss_scale);
  double sum = 0;
  with_elements(group.parts[range.tensor].dtype, group.parts[range.tensor].first, range.first, [&]<class T>(T* g) {
    sum = sum_by_packs(
        g, range.count,
        [=](std::int64_t p) {
          Pack<T> held = load_pack(g, p);
          const double squares = unscale_range(ThreadTeam{}, held.at, inverse, Pack<T>::size);
          store_pack(g, p, held);
          return squares;
        },
        [=](std::int64_t i) { return unscale_range(ThreadTeam{}, g + i, inverse, 1); });
  });
  if (threadIdx.x == 0) partial[group.earlier_blocks + blockIdx.x] = sum;
}

static __global__ void update_loss_scale_kernel(std::int64_t interval, ControlBlock* control) {
  const bool overflowed = control->found_inf != 0;
  const LossScale next = next_loss_scale({control->loss_scale, control->clean_steps}, overflowed, interval);
  control->loss_scale = next.scale;
  control->clean_steps = next.clean_steps;
  control->skips += overflowed ? 1 : 0;
}

std::int64_t unscale_gradients_cuda_workspace(const Program& program, const Operation& operation) {
  std::int64_t ranges = 0;
  for (std::size_t i = 1; i < operation.writes.size(); ++i)
    ranges += ranges_of(program.state(operation.writes[i].state).type.shape.elements());
  return ranges * static_cast<std::int64_t>(sizeof(double));
}

CudaRun bind_unscale_gradients_cuda(const CudaBinding& binding) {  // writes: results, gradients
  std::vector<GradientPart> parts;
  for (int i = 1; i < static_cast<int>(binding.writes.size()); ++i)
    parts.push_back({binding.write<std::byte>(i), binding.write_type(i).shape.elements(), binding.write_type(i).dtype});
  auto* partial = reinterpret_cast<double*>(binding.workspace);
  return [=, groups = group_tensors(parts), clip = binding.operation->attributes.clip,
          control = binding.control](const CudaIssue& issue) {
    for (const GradientGroup& group : groups)
      launch(unscale_kernel, group.blocks, range_threads, 0, issue.stream, group, control, partial);
    launch(norm_kernel, 1, norm_threads, 0, issue.stream, partial, blocks_of(groups), clip, true, control);
  };
}

CudaRun bind_update_loss_scale_cuda(const CudaBinding& binding) {
  return [interval = binding.operation->attributes.growth_interval, control = binding.control](const CudaIssue& issue) {
    launch(update_loss_scale_kernel, 1, 1, 0, issue.stream, interval, control);
  };
}

}  // namespace stepscope
