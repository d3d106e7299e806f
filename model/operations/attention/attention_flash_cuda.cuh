// attention and attention_gradient on tensor cores, a tile of scores at a time: bf16 and fp16, heads of 64 and 128 features,
// every mask.
//     if (takes_flash_attention(binding, 0)) return bind_flash_attention_cuda(binding);        // 0: q, k, v are ins 0, 1, 2
// Scores, statistics and sums are fp32; weights and their gradients are rounded to T before they are multiplied, as
// attention_body.h has it, but forward's are rounded before the division by their sum. No two blocks add to one number: the
// same bits every time. Threads, tiles and shared bytes of a block, by head_dim (128 threads, at most 255 registers each: two
// blocks an SM at least):
//     forward      64: 128 queries, 32 keys, 18,432 bytes        128: 64 queries, 64 keys, 69,632 bytes
//     dq, delta    64: 64 queries, 64 keys, 36,864 bytes         128: 64 queries, 32 keys, 34,816 bytes
//     dk, dv       64: 64 keys, 64 queries, 56,320 bytes         128: 64 keys, 32 queries, 70,144 bytes
// Source: Dao 2023, arXiv:2307.08691 (a loop over keys for each tile of queries, and its gradient, here without atomics).
#pragma once

#include "model/cuda/warp_tile.cuh"
#include "model/operations/attention/attention_rows.cuh"

namespace stepscope {

// Whether they take an operation whose q, k, v are ins first, first + 1, first + 2; the kernels of attention_cuda.cu take every
// one.
[[nodiscard]] bool takes_flash_attention(const CudaBinding& binding, int first);

[[nodiscard]] CudaRun bind_flash_attention_cuda(const CudaBinding& binding);
[[nodiscard]] CudaRun bind_flash_attention_gradient_cuda(const CudaBinding& binding);

inline constexpr int flash_warps = 4, flash_threads = flash_warps * warp_lanes;
inline constexpr float log2_of_e = 1.44269504f, ln_of_2 = 0.69314718f;

// On an A100's SM, whose 164 KiB are the least of the cards that this is for; each block has 1 KiB of the system's and its
// static ones.
[[nodiscard]] constexpr bool two_blocks_fit(int shared_bytes) { return 2 * (shared_bytes + 2048) <= 164 << 10; }

// Calls body<T, D>().
template <class Body>
CudaRun dispatch_flash(DType dtype, std::int64_t head_dim, Body&& body) {
  if (dtype == DType::bf16)
    return head_dim == 64 ? body.template operator()<bf16, 64>() : body.template operator()<bf16, 128>();
  return head_dim == 64 ? body.template operator()<fp16, 64>() : body.template operator()<fp16, 128>();
}

// The masks of one batch row and head. Rows past the last are taken for it: nothing is stored for them.
struct TileMask {
  const MaskReader& mask;
  std::int64_t b, head, micro_step;
  int sequence;

  [[nodiscard]] __device__ __forceinline__ VisibleKeys keys(int row) const {
    return mask.keys(b, head, row < sequence ? row : sequence - 1, micro_step);
  }
  // A later row sees no fewer, custom masks aside.
  [[nodiscard]] __device__ __forceinline__ int count(int row) const { return static_cast<int>(keys(row).count); }
};

[[nodiscard]] __device__ __forceinline__ bool sees(VisibleKeys keys, int key) {
  return key < keys.count && (keys.custom == nullptr || keys.custom[key] != 0);
}

// Bit 4 n + 2 h + e: whether query row + 8 h sees key first + 8 n + 2 t + e.
template <int Tiles>
[[nodiscard]] __device__ __forceinline__ unsigned seen_by_rows(const TileMask& mask, int row, int first) {
  unsigned bits = 0;
  STEPSCOPE_UNROLL
  for (int h = 0; h < 2; ++h) {
    const VisibleKeys keys = mask.keys(row + 8 * h);
    STEPSCOPE_UNROLL
    for (int i = 0; i < 2 * Tiles; ++i)
      if (sees(keys, first + i / 2 * 8 + 2 * quad_lane() + i % 2)) bits |= 1u << (i / 2 * 4 + 2 * h + i % 2);
  }
  return bits;
}

// Bit 4 n + 2 h + e: whether key row + 8 h is seen by query first + 8 n + 2 t + e, and that is one.
template <int Tiles>
[[nodiscard]] __device__ __forceinline__ unsigned seen_by_columns(const TileMask& mask, int row, int first) {
  unsigned bits = 0;
  STEPSCOPE_UNROLL
  for (int i = 0; i < 2 * Tiles; ++i) {
    const int query = first + i / 2 * 8 + 2 * quad_lane() + i % 2;
    if (query >= mask.sequence) continue;
    const VisibleKeys keys = mask.keys(query);
    STEPSCOPE_UNROLL
    for (int h = 0; h < 2; ++h)
      if (sees(keys, row + 8 * h)) bits |= 1u << (i / 2 * 4 + 2 * h + i % 2);
  }
  return bits;
}

// Whether any thread of the block says so. A barrier.
[[nodiscard]] __device__ __forceinline__ bool any_of_block(bool mine) {
  return BlockTeam{}.reduce(
             std::int64_t{blockDim.x}, 0, [=](std::int64_t) { return mine ? 1 : 0; },
             [](int a, int b) { return a | b; }) != 0;
}

}  // namespace stepscope
