#include "model/operations/rotary/rotary_cuda.cuh"

#include "model/cuda/pack.cuh"
#include "model/cuda/team.cuh"
#include "model/operations/packed_heads.h"
#include "model/operations/rotary/rotary_body.h"

namespace stepscope {

constexpr unsigned angle_threads = 64, rotary_threads = 256;

// A block a position: its angles' cosines and sines, taken in fp64, once for all heads and rows.
static __global__ void __launch_bounds__(angle_threads)
    rotary_angles_kernel(RotaryScale scale, std::int64_t pairs, float* cosines, float* sines) {
  const std::int64_t position = blockIdx.x;
  BlockTeam{}.for_each(pairs, [=](std::int64_t i) {
    const double frequency = rotary_frequency(scale.theta, scale.factor, scale.low, scale.high,
                                              static_cast<double>(scale.original), i, 2 * pairs);
    constexpr double inverse_pi = 0.318309886183790671538;
    const double half_turns = static_cast<double>(position) * frequency * inverse_pi;
    cosines[position * pairs + i] = static_cast<float>(cosine_of_half_turns(half_turns));
    sines[position * pairs + i] = static_cast<float>(sine_of_half_turns(half_turns));
  });
}

// A block a token, a warp a head: queries and keys are turned, values copied. Moves 2 elements of each.
template <class T>
__global__ void __launch_bounds__(rotary_threads)
    rotary_kernel(PackedHeads heads, const T* x, T* y, const float* cosines, const float* sines, float direction,
                  std::int64_t sequence) {
  const std::int64_t width = heads.head_dim, pairs = width / 2, of_group = heads.queries + 2,
                     all = heads.kv_heads * of_group, row = blockIdx.x, angles = row % sequence * pairs;
  for (std::int64_t head = threadIdx.x / warp_lanes; head < all; head += rotary_threads / warp_lanes) {
    const std::int64_t at = (row * all + head) * width;
    if (head % of_group == heads.queries + 1)
      copy_head(WarpTeam{}, x + at, y + at, width);
    else
      rotary_head(WarpTeam{}, x + at, y + at, cosines + angles, sines + angles, direction, pairs);
  }
}

// A thread a pack of pairs: the first halves of a head's pairs lie together, and the second.
template <class T>
__global__ void __launch_bounds__(rotary_threads)
    rotary_packs_kernel(PackedHeads heads, const T* x, T* y, const float* cosines, const float* sines, float direction,
                        std::int64_t sequence) {
  const std::int64_t pairs = heads.head_dim / 2, packs = pairs / row_pack, of_group = heads.queries + 2,
                     all = heads.kv_heads * of_group, row = blockIdx.x, angles = row % sequence * packs;
  for (std::int64_t i = threadIdx.x; i < all * packs; i += rotary_threads) {
    const std::int64_t head = i / packs, first = (row * all + head) * 2 * packs + i % packs, second = first + packs;
    RowPack<T> one = load_row_pack(x, first), other = load_row_pack(x, second);
    if (head % of_group <= heads.queries) {
      const RowPack<float> cosine = load_row_pack(cosines, angles + i % packs),
                           sine = load_row_pack(sines, angles + i % packs);
      STEPSCOPE_UNROLL
      for (int j = 0; j < row_pack; ++j) {
        T pair[2] = {one.at[j], other.at[j]};
        rotary_head(ThreadTeam{}, pair, pair, cosine.at + j, sine.at + j, direction, 1);
        one.at[j] = pair[0], other.at[j] = pair[1];
      }
    }
    store_pack(y, first, one);
    store_pack(y, second, other);
  }
}

// Cosines [S][D / 2], then sines.
std::int64_t rotary_cuda_workspace(const Program&, const Operation& operation) {
  const std::int64_t sequence = operation.ins[0].view.shape[1];
  return sequence * operation.attributes.head_dim * static_cast<std::int64_t>(sizeof(float));
}

static CudaRun bind_turning(const CudaBinding& binding, float direction) {
  return dispatch_cuda(binding.in_dtype(0), [&]<class T>() -> CudaRun {
    const Attributes& a = binding.operation->attributes;
    const Shape& shape = binding.in_view(0).shape;
    const PackedHeads heads = packed_heads(shape, a.heads, a.head_dim);
    const std::int64_t sequence = shape[1], pairs = a.head_dim / 2;
    auto* cosines = reinterpret_cast<float*>(binding.workspace);
    float* sines = cosines + sequence * pairs;
    const T* x = binding.in<const T>(0);
    T* y = binding.out<T>(0);
    const auto kernel = rows_in_packs(pairs, {x, y, binding.workspace}) ? rotary_packs_kernel<T> : rotary_kernel<T>;
    return [=, scale = a.rotary, rows = static_cast<unsigned>(shape.rows())](const CudaIssue& issue) {
      launch(rotary_angles_kernel, static_cast<unsigned>(sequence), angle_threads, 0, issue.stream, scale, pairs,
             cosines, sines);
      launch(kernel, rows, rotary_threads, 0, issue.stream, heads, x, y, cosines, sines, direction, sequence);
    };
  });
}

CudaRun bind_rotary_cuda(const CudaBinding& binding) { return bind_turning(binding, 1); }
CudaRun bind_rotary_gradient_cuda(const CudaBinding& binding) { return bind_turning(binding, -1); }

}  // namespace stepscope
