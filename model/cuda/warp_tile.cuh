// Matmuls of a warp on tensor cores: 16 rows of sums a warp, the right operand in shared memory, T bf16 or fp16.
//     RowSums<8> s[1] = {};                                             // 16 x 64 sums, in registers
//     add_times_rows<T>(s, q, k.at());                                  // s += q k^T: a row of k is a column of s
//     add_product<T>(o, left_of<T>(s), v.at());                         // o += s v
// With g = lane / 4 and t = lane % 4, a lane holds of each 8 columns the sums (g + 8 h, 2 t + e) in at[2 h + e].
// Rows in shared memory lie width + 8 elements apart, so that the eight that a load takes meet different banks.
// Sixteen rows a warp read 512 bytes of shared memory for each 8,192 FLOPs; 16 M rows (M sums beside one another) M times
// fewer.
#pragma once

#include <cmath>
#include <cstdint>

#include "model/cuda/device.cuh"
#include "model/cuda/team.cuh"

namespace stepscope {

inline constexpr int tile_padding = 8;

[[nodiscard]] __device__ __forceinline__ int quad_row() { return static_cast<int>(threadIdx.x) % warp_lanes / 4; }  // g
[[nodiscard]] __device__ __forceinline__ int quad_lane() { return static_cast<int>(threadIdx.x) % 4; }  // t

// Over the four lanes that share a row.
template <class T, class Combine>
__device__ __forceinline__ T combine_quad(T mine, Combine combine) {
  mine = combine(mine, __shfl_xor_sync(whole_warp, mine, 1));
  return combine(mine, __shfl_xor_sync(whole_warp, mine, 2));
}

template <class T, int Width>
struct TileRows {  // in shared memory, each Width elements
  static constexpr int pitch_bytes = (Width + tile_padding) * static_cast<int>(sizeof(T));
  SharedAddress first;
  [[nodiscard]] static constexpr int bytes(int rows) { return rows * pitch_bytes; }
  [[nodiscard]] __device__ __forceinline__ TileRows from(int row) const { return {first + row * pitch_bytes}; }
  // Of row, from the 16 bytes that begin with element `column`.
  [[nodiscard]] __device__ __forceinline__ SharedAddress at(int row, int column) const {
    return first + (row * pitch_bytes + column * static_cast<int>(sizeof(T)));
  }
};

template <int Tiles>
struct RowSums {  // 16 x 8 Tiles
  float at[Tiles][4];
};

template <int Chunks>
struct LeftRows {  // 16 x 16 Chunks, in registers
  std::uint32_t at[Chunks][4];
  __device__ __forceinline__ void chunk(int c, std::uint32_t (&a)[4]) const {
    STEPSCOPE_UNROLL
    for (int r = 0; r < 4; ++r) a[r] = at[c][r];
  }
};

template <class T, int Width>
struct LeftInShared {  // 16 x Width, read each time it is multiplied
  TileRows<T, Width> rows;
  __device__ __forceinline__ void chunk(int c, std::uint32_t (&a)[4]) const {
    const int lane = static_cast<int>(threadIdx.x) % warp_lanes;
    load_matrices(a, rows.at(lane % 16, 16 * c + lane / 16 * 8));
  }
};

template <class T>
__device__ __forceinline__ std::uint32_t two_at(const T* x) {  // aligned to both
  return *reinterpret_cast<const std::uint32_t*>(x);
}
template <class T>
__device__ __forceinline__ float low_of(std::uint32_t two) {
  return load(T{static_cast<std::uint16_t>(two)});
}
template <class T>
__device__ __forceinline__ float high_of(std::uint32_t two) {
  return load(T{static_cast<std::uint16_t>(two >> 16)});
}

// From global memory: the rows g and g + 8 of 16.
template <class T, int Chunks>
__device__ __forceinline__ void load_left(LeftRows<Chunks>& left, const T* row_g, const T* row_g8) {
  const int t = quad_lane();
  STEPSCOPE_UNROLL
  for (int c = 0; c < Chunks; ++c) STEPSCOPE_UNROLL
  for (int r = 0; r < 4; ++r) left.at[c][r] = two_at((r % 2 == 0 ? row_g : row_g8) + 16 * c + 2 * t + 8 * (r / 2));
}

// Sums of bits that are not set become -inf: bit 4 n + i is at[n][i]. What an exponential makes of them is 0.
template <int Tiles>
__device__ __forceinline__ void hide(RowSums<Tiles>& sums, unsigned bits) {
  static_assert(4 * Tiles <= 32);
  STEPSCOPE_UNROLL
  for (int i = 0; i < 4 * Tiles; ++i)
    if ((bits >> i & 1u) == 0) sums.at[i / 4][i % 4] = -INFINITY;
}

// Sums rounded to T, as a left operand.
template <class T, int Tiles>
__device__ __forceinline__ LeftRows<Tiles / 2> left_of(const RowSums<Tiles>& sums) {
  LeftRows<Tiles / 2> left;
  STEPSCOPE_UNROLL
  for (int c = 0; c < Tiles / 2; ++c) STEPSCOPE_UNROLL
  for (int r = 0; r < 4; ++r) {
    const float(&from)[4] = sums.at[2 * c + r / 2];
    left.at[c][r] = two_of<T>(from[2 * (r % 2)], from[2 * (r % 2) + 1]);
  }
  return left;
}

// Sixteen columns more of each of the sums.
template <class T, int Tiles, int M>
__device__ __forceinline__ void add_columns(RowSums<Tiles> (&sums)[M], const std::uint32_t (&left)[M][4], int pair,
                                            const std::uint32_t (&right)[4]) {
  const std::uint32_t first[2] = {right[0], right[1]}, second[2] = {right[2], right[3]};
  STEPSCOPE_UNROLL
  for (int m = 0; m < M; ++m) {
    mma_16x8x16<T>(sums[m].at[2 * pair], left[m], first);
    mma_16x8x16<T>(sums[m].at[2 * pair + 1], left[m], second);
  }
}

// sums[m] += left[m] rows^T: 8 Tiles rows of the width of left.
template <class T, int Width, int Tiles, int M, class Left>
__device__ __forceinline__ void add_times_rows(RowSums<Tiles> (&sums)[M], const Left (&left)[M],
                                               TileRows<T, Width> rows) {
  const int lane = static_cast<int>(threadIdx.x) % warp_lanes;
  const TileRows<T, Width> mine{rows.at(lane % 8 + lane / 16 * 8, lane / 8 % 2 * 8)};
  STEPSCOPE_UNROLL
  for (int c = 0; c < Width / 16; ++c) {
    std::uint32_t a[M][4];
    STEPSCOPE_UNROLL
    for (int m = 0; m < M; ++m) left[m].chunk(c, a[m]);
    STEPSCOPE_UNROLL
    for (int pair = 0; pair < Tiles / 2; ++pair) {
      std::uint32_t right[4];
      load_matrices(right, mine.at(16 * pair, 16 * c));
      add_columns<T>(sums, a, pair, right);
    }
  }
}

// sums[m] += left[m] rows: as many rows as left is wide, of 8 Tiles elements.
template <class T, int Width, int Chunks, int M>
__device__ __forceinline__ void add_product(RowSums<Width / 8> (&sums)[M], const LeftRows<Chunks> (&left)[M],
                                            TileRows<T, Width> rows) {
  const int lane = static_cast<int>(threadIdx.x) % warp_lanes;
  const TileRows<T, Width> mine{rows.at(lane % 16, lane / 16 * 8)};
  STEPSCOPE_UNROLL
  for (int c = 0; c < Chunks; ++c) {
    std::uint32_t a[M][4];
    STEPSCOPE_UNROLL
    for (int m = 0; m < M; ++m) left[m].chunk(c, a[m]);
    STEPSCOPE_UNROLL
    for (int pair = 0; pair < Width / 16; ++pair) {
      std::uint32_t right[4];
      load_matrices_transposed(right, mine.at(16 * c, 16 * pair));
      add_columns<T>(sums, a, pair, right);
    }
  }
}

// A block of so many threads fetches rows [0, Rows) from `rows` on, zeros from `present` on: there after wait_for_copies() and
// a barrier.
template <int Rows, int Threads, class T, int Width>
__device__ __forceinline__ void fetch_rows(TileRows<T, Width> to, const T* rows, std::int64_t stride,
                                           std::int64_t present) {
  constexpr int of_pack = 16 / static_cast<int>(sizeof(T)), packs = Width / of_pack, at_once = Threads / packs;
  static_assert(Threads % packs == 0 && Rows % at_once == 0);
  const int first = static_cast<int>(threadIdx.x) / packs, column = static_cast<int>(threadIdx.x) % packs * of_pack;
  STEPSCOPE_UNROLL
  for (int row = first; row < first + Rows; row += at_once) {
    const bool there = row < present;
    copy_16(to.at(row, column), rows + (there ? row * stride + column : 0), there);
  }
}

}  // namespace stepscope
