// What gradient_norm and unscale_gradients share on a card: gradients in groups, and the last of their two stages.
#pragma once

#include "model/cuda/team.cuh"
#include "model/cuda/tensor_groups.cuh"
#include "model/operations/gradient_norm/gradient_norm_body.h"
#include "model/program/control_block.h"

namespace stepscope {

struct GradientPart {
  std::byte* first;
  std::int64_t n;
  DType dtype;
};
using GradientGroup = TensorGroup<GradientPart>;

[[nodiscard]] inline std::int64_t blocks_of(const std::vector<GradientGroup>& groups) {
  return groups.empty() ? 0 : std::int64_t{groups.back().earlier_blocks} + groups.back().blocks;
}

inline constexpr unsigned norm_threads = 512;

// tells_overflow: also sets found_inf, which a norm that is no finite number tells.
static __global__ void __launch_bounds__(norm_threads)
    norm_kernel(const double* partial, std::int64_t count, double clip, bool tells_overflow, ControlBlock* control) {
  const double norm = sqrt_of(BlockTeam{}.sum<double>(count, [=](std::int64_t i) { return partial[i]; }));
  if (threadIdx.x != 0) return;
  control->gradient_norm = norm;
  control->clip_factor = clip_factor_of(norm, clip);
  if (tells_overflow) control->found_inf = norm <= 1.7976931348623157e308 ? 0 : 1;
}

}  // namespace stepscope
