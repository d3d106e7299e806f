#include "model/operations/gradient_norm/gradient_norm_cuda.cuh"

#include "model/cuda/team.cuh"
#include "model/operations/gradient_norm/gradient_norm_body.h"
#include "model/operations/gradient_norm/gradient_parts.cuh"

namespace stepscope {

// Moves each gradient once.
static __global__ void __launch_bounds__(range_threads) sum_of_squares_kernel(GradientGroup group, double* partial) {
  const TensorRange range = group.range();
  double sum = 0;
  with_elements(group.parts[range.tensor].dtype, group.parts[range.tensor].first, range.first, [&]<class T>(T* g) {
    sum = sum_by_packs(
        g, range.count,
        [=](std::int64_t p) {
          const Pack<T> in = load_pack(g, p);
          return sum_of_squares(ThreadTeam{}, in.at, Pack<T>::size);
        },
        [=](std::int64_t i) { return sum_of_squares(ThreadTeam{}, g + i, 1); });
  });
  if (threadIdx.x == 0) partial[group.earlier_blocks + blockIdx.x] = sum;
}

std::int64_t gradient_norm_cuda_workspace(const Program&, const Operation& operation) {
  std::int64_t ranges = 0;
  for (std::size_t i = 1; i < operation.ins.size(); ++i) ranges += ranges_of(operation.ins[i].view.shape.elements());
  return ranges * static_cast<std::int64_t>(sizeof(double));
}

CudaRun bind_gradient_norm_cuda(const CudaBinding& binding) {  // ins: control, gradients
  std::vector<GradientPart> parts;
  for (int i = 1; i < static_cast<int>(binding.ins.size()); ++i)
    parts.push_back({binding.in<std::byte>(i), binding.in_view(i).shape.elements(), binding.in_dtype(i)});
  auto* partial = reinterpret_cast<double*>(binding.workspace);
  return [=, groups = group_tensors(parts), clip = binding.operation->attributes.clip,
          control = binding.control](const CudaIssue& issue) {
    for (const GradientGroup& group : groups)
      launch(sum_of_squares_kernel, group.blocks, range_threads, 0, issue.stream, group, partial);
    launch(norm_kernel, 1, norm_threads, 0, issue.stream, partial, blocks_of(groups), clip, false, control);
  };
}

}  // namespace stepscope
