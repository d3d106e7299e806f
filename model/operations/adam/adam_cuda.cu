#include "model/operations/adam/adam_cuda.cuh"

#include "model/cuda/team.cuh"
#include "model/cuda/tensor_groups.cuh"
#include "model/operations/adam/adam_body.h"

namespace stepscope {

struct AdamPart {
  std::byte* g;
  float *p, *m, *v;
  std::int64_t n;
  DType dtype;  // of g
};
using AdamGroup = TensorGroup<AdamPart>;

// What all elements of a step share takes two powers in fp64: once, not in every block.
static __global__ void adam_step_kernel(AdamSettings settings, const ControlBlock* control, AdamStep<float>* step) {
  *step = adam_step_of<float>(settings, *control);
}

// Moves 28 bytes a parameter with fp32 gradients.
static __global__ void __launch_bounds__(range_threads)
    adam_kernel(AdamGroup group, const AdamStep<float>* step, const ControlBlock* control, bool skips_overflow) {
  if (skips_overflow && control->found_inf != 0) return;
  const TensorRange range = group.range();
  const AdamPart& part = group.parts[range.tensor];
  with_elements(part.dtype, part.g, range.first, [&](auto* g) {
    adam_range(BlockTeam{}, *step, g, part.p + range.first, part.m + range.first, part.v + range.first, range.count);
  });
}

std::int64_t adam_cuda_workspace(const Program&, const Operation&) { return sizeof(AdamStep<float>); }

CudaRun bind_adam_cuda(const CudaBinding& binding) {  // ins: control, g1, g2 ..., results; writes: p1, m1, v1, p2 ...
  if (binding.write_type(0).dtype != DType::fp32) throw Unsupported("CUDA: adam's states are fp32");
  std::vector<AdamPart> parts;
  for (int tensor = 0; tensor < static_cast<int>(binding.writes.size() / 3); ++tensor)
    parts.push_back({binding.in<std::byte>(tensor + 1), binding.write<float>(3 * tensor),
                     binding.write<float>(3 * tensor + 1), binding.write<float>(3 * tensor + 2),
                     binding.in_view(tensor + 1).shape.elements(), binding.in_dtype(tensor + 1)});
  const Attributes& a = binding.operation->attributes;
  const AdamSettings settings{a.beta1, a.beta2, a.epsilon, a.weight_decay};
  auto* step = reinterpret_cast<AdamStep<float>*>(binding.workspace);
  return
      [=, groups = group_tensors(parts), control = binding.control, skips = a.skips_overflow](const CudaIssue& issue) {
        launch(adam_step_kernel, 1, 1, 0, issue.stream, settings, control, step);
        for (const AdamGroup& group : groups)
          launch(adam_kernel, group.blocks, range_threads, 0, issue.stream, group, step, control, skips);
      };
}

}  // namespace stepscope
