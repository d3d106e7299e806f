// Column sums on a card (model/cpu/tile.h says how they are cut): a thread a column, which visits its rows in order.
//     sum_rows(ColumnTile{}, dy, stride, first_row, past_row, columns, sums_of_block());
#pragma once

#include <cstdint>

#include "model/cuda/device.cuh"
#include "model/cuda/team.cuh"

namespace stepscope {

inline constexpr unsigned columns_a_block = 128;

struct ColumnTile {  // block x of the grid has columns x 128 .. x 128 + 127
  template <class F>
  __device__ __forceinline__ void for_each(std::int64_t first_row, std::int64_t past_row, std::int64_t columns,
                                           F f) const {
    const std::int64_t column = std::int64_t{blockIdx.x} * columns_a_block + threadIdx.x;
    if (column >= columns) return;
    for (std::int64_t row = first_row; row < past_row; ++row) f(row, column);
  }
};

struct PackTile {  // one row, of which a thread has a pack in registers
  template <class F>
  __device__ __forceinline__ void for_each(std::int64_t /*first*/, std::int64_t /*past*/, std::int64_t /*columns*/,
                                           F f) const {
    STEPSCOPE_UNROLL
    for (int j = 0; j < row_pack; ++j) f(0, j);
  }
};

[[nodiscard]] inline unsigned column_blocks(std::int64_t columns) {
  return static_cast<unsigned>((columns + columns_a_block - 1) / columns_a_block);
}

}  // namespace stepscope
