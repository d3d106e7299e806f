// What gradient_norm and unscale_gradients share on a card: gradients in groups, and the last of their two stages.
#pragma once

#include "model/cuda/pack.cuh"
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

// A block's sum over n elements of many(a pack) and one(an element), each thread its own in order: many is given packs of 16 bytes where
// the first element allows it.
template <class T, class Many, class One>
__device__ __forceinline__ double sum_by_packs(T* g, std::int64_t n, Many many, One one) {
  const std::int64_t packs = reinterpret_cast<std::uintptr_t>(g) % 16 == 0 ? n / Pack<T>::size : 0;
  double mine = 0;
  for (std::int64_t p = threadIdx.x; p < packs; p += blockDim.x) mine += many(p);
  for (std::int64_t i = packs * Pack<T>::size + threadIdx.x; i < n; i += blockDim.x) mine += one(i);
  return combine_block(mine, 0.0, [](double a, double b) { return a + b; });
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
