// Many tensors in one launch: their addresses travel as an argument of the kernel, cut into ranges that a block takes on.
//     for (const auto& group : group_tensors(parts)) launch(kernel, group.blocks, range_threads, 0, stream, group, ...);
//     const TensorRange range = group.range();                     // in the kernel: which tensor, from which element, how many
// Ranges depend on the tensors' sizes alone. A part has a member n, its elements.
#pragma once

#include <cstdint>
#include <vector>

#include "model/base/half.h"
#include "model/cuda/device.cuh"

namespace stepscope {

inline constexpr std::int64_t range_elements = 8 * 1024;
inline constexpr unsigned range_threads = 256;

struct TensorRange {
  int tensor;
  std::int64_t first, count;
};

template <class Part>
struct TensorGroup {
  static constexpr int most = 32;  // what an argument of 4 KiB has room for
  Part parts[most];
  unsigned first_block[most];
  int count = 0;
  unsigned blocks = 0;
  unsigned earlier_blocks = 0;  // of the groups before

  [[nodiscard]] __device__ __forceinline__ TensorRange range() const {
    int tensor = 0;
    while (tensor + 1 < count && first_block[tensor + 1] <= blockIdx.x) ++tensor;
    const std::int64_t first = std::int64_t{blockIdx.x - first_block[tensor]} * range_elements;
    const std::int64_t rest = parts[tensor].n - first;
    return {tensor, first, rest < range_elements ? rest : range_elements};
  }
};

[[nodiscard]] constexpr std::int64_t ranges_of(std::int64_t elements) {
  return (elements + range_elements - 1) / range_elements;
}

template <class Part>
[[nodiscard]] std::vector<TensorGroup<Part>> group_tensors(const std::vector<Part>& parts) {
  std::vector<TensorGroup<Part>> groups;
  for (const Part& part : parts) {
    if (groups.empty() || groups.back().count == TensorGroup<Part>::most) {
      const unsigned earlier = groups.empty() ? 0 : groups.back().earlier_blocks + groups.back().blocks;
      groups.push_back({});
      groups.back().earlier_blocks = earlier;
    }
    TensorGroup<Part>& group = groups.back();
    group.parts[group.count] = part;
    group.first_block[group.count++] = group.blocks;
    group.blocks += static_cast<unsigned>(ranges_of(part.n));
  }
  return groups;
}

// f(pointer to the element's type) for gradients of any floating type that a card computes in.
template <class F>
__device__ __forceinline__ void with_elements(DType dtype, std::byte* first, std::int64_t at, F f) {
  if (dtype == DType::bf16)
    f(reinterpret_cast<bf16*>(first) + at);
  else if (dtype == DType::fp16)
    f(reinterpret_cast<fp16*>(first) + at);
  else
    f(reinterpret_cast<float*>(first) + at);
}

}  // namespace stepscope
