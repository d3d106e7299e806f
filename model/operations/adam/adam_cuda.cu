#include "model/operations/adam/adam_cuda.cuh"

#include "model/cuda/pack.cuh"
#include "model/cuda/team.cuh"
#include "model/cuda/tensor_groups.cuh"
#include "model/operations/adam/adam_body.h"

namespace stepscope {

struct AdamPart {
  std::byte* g;
  AdamStates<float> states;
  std::int64_t n;
  DType dtype;  // of g
  bool in_packs;  // all of them begin at a multiple of 16 bytes
};
using AdamGroup = TensorGroup<AdamPart>;

// What all elements of a step share takes two powers in fp64: once, not in every block.
static __global__ void adam_step_kernel(AdamSettings settings, const ControlBlock* control, AdamStep<float>* step) {
  *step = adam_step_of<float>(settings, *control);
}

constexpr int adam_pack = 4;  // 16 bytes of each state

// Elements first .. first + count - 1 by a block: in packs, then one by one.
template <class G>
__device__ __forceinline__ void adam_packs(const AdamStep<float>& step, const AdamPart& part, const G* gradients,
                                           std::int64_t first, std::int64_t count) {
  const AdamStates<float> s = part.states.from(first);
  const std::int64_t packs = part.in_packs ? count / adam_pack : 0, rest = packs * adam_pack;
  for (std::int64_t i = threadIdx.x; i < packs; i += range_threads) {
    const Pack<G, adam_pack> g = load_pack<G, adam_pack>(gradients, i);
    Pack<float> p = load_pack(s.p_before, i), m = load_pack(s.m_before, i), v = load_pack(s.v_before, i);
    adam_range(ThreadTeam{}, step, g.at, p.at, m.at, v.at, adam_pack);
    store_pack(s.p, i, p);
    store_pack(s.m, i, m);
    store_pack(s.v, i, v);
  }
  adam_take_over(BlockTeam{}, s.from(rest), count - rest);
  adam_range(BlockTeam{}, step, gradients + rest, s.p + rest, s.m + rest, s.v + rest, count - rest);
}

// Moves 28 bytes a parameter with fp32 gradients.
static __global__ void __launch_bounds__(range_threads)
    adam_kernel(AdamGroup group, const AdamStep<float>* step, const ControlBlock* control, bool skips_overflow) {
  const TensorRange range = group.range();
  const AdamPart& part = group.parts[range.tensor];
  if (skips_overflow && control->found_inf != 0)
    return adam_take_over(BlockTeam{}, part.states.from(range.first), range.count);
  with_elements(part.dtype, part.g, range.first,
                [&](auto* g) { adam_packs(*step, part, g, range.first, range.count); });
}

std::int64_t adam_cuda_workspace(const Program&, const Operation&) { return sizeof(AdamStep<float>); }

CudaRun bind_adam_cuda(const CudaBinding& binding) {  // ins: control, g1, g2 ..., results; writes: p1, m1, v1, p2 ...
  if (binding.write_type(0).dtype != DType::fp32) throw Unsupported("CUDA: adam's states are fp32");
  std::vector<AdamPart> parts;
  for (int tensor = 0; tensor < static_cast<int>(binding.writes.size() / 3); ++tensor) {
    const int p = 3 * tensor, m = p + 1, v = p + 2;
    const AdamStates<float> s{binding.write<float>(p),        binding.write<float>(m),
                              binding.write<float>(v),        binding.before_write<float>(p),
                              binding.before_write<float>(m), binding.before_write<float>(v)};
    AdamPart part{binding.in<std::byte>(tensor + 1), s, binding.in_view(tensor + 1).shape.elements(),
                  binding.in_dtype(tensor + 1), false};
    part.in_packs = are_aligned({part.g, s.p, s.m, s.v, s.p_before, s.m_before, s.v_before});
    parts.push_back(part);
  }
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
