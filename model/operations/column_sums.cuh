// Sums down columns on a card in two stages (model/cpu/tile.h), shared by the gradients of linear and the norms.
//     issue_add_partials(stream, partials, chunks, columns, add, gradient);                // stage 2
#pragma once

#include "model/cpu/tile.h"
#include "model/cuda/pack.cuh"
#include "model/cuda/tile.cuh"
#include "model/operations/linear/linear_body.h"

namespace stepscope {

struct ColumnSums {
  float at[columns_a_block];
};
// So that column j of the whole matrix is element j: the block's threads each have their own.
template <class Sums>
__device__ __forceinline__ float* sums_by_column() {
  return block_shared<Sums>().at - std::int64_t{blockIdx.x} * columns_a_block;
}

// The same columns by packs: 16 threads side by side have 8 columns each, and 8 such rows of threads take turns at the rows. Their sums are
// added in order.
inline constexpr unsigned packs_a_block = columns_a_block / row_pack, row_slices = columns_a_block / packs_a_block;

template <int Sums>
struct PackedSums {
  float at[Sums][row_slices][columns_a_block];
};

// Several sums a column. row(index of a row, pack of it, sums [Sums] of packs) adds to them; store(which, column, sum) is called once for
// each of a column.
template <int Sums, class Row, class Store>
__device__ __forceinline__ void column_sums_by_packs(std::int64_t first, std::int64_t past, std::int64_t columns,
                                                     Row row, Store store) {
  auto& sums = block_shared<PackedSums<Sums>>().at;
  const unsigned lane = threadIdx.x % packs_a_block, slice = threadIdx.x / packs_a_block;
  const std::int64_t before = std::int64_t{blockIdx.x} * columns_a_block, column = before + lane * row_pack;
  RowPack<float> mine[Sums] = {};
  if (column < columns)
    for (std::int64_t r = first + slice; r < past; r += row_slices) row(r, column / row_pack, mine);
  STEPSCOPE_UNROLL
  for (int n = 0; n < Sums; ++n) {
    STEPSCOPE_UNROLL
    for (int j = 0; j < row_pack; ++j) sums[n][slice][lane * row_pack + j] = mine[n].at[j];
  }
  __syncthreads();
  if (before + threadIdx.x >= columns) return;
  STEPSCOPE_UNROLL
  for (int n = 0; n < Sums; ++n) {
    float all = 0;
    for (unsigned s = 0; s < row_slices; ++s) all += sums[n][s][threadIdx.x];
    store(n, before + threadIdx.x, all);
  }
}

inline constexpr unsigned partial_columns = 32, partial_slices = 8;  // of a block of the second stage

struct SliceSums {
  float at[partial_slices][partial_columns];
};

// A thread adds every eighth partial sum of its column in a register, in order; then the eight in order: loads wait for no store.
static __global__ void __launch_bounds__(partial_columns* partial_slices)
    add_partials_kernel(const float* partials, std::int64_t chunks, std::int64_t columns, bool add, float* gradient) {
  const unsigned lane = threadIdx.x % partial_columns, slice = threadIdx.x / partial_columns;
  const std::int64_t column = std::int64_t{blockIdx.x} * partial_columns + lane;
  auto& sums = block_shared<SliceSums>().at;
  float sum = 0;
  if (column < columns)
    for (std::int64_t chunk = slice; chunk < chunks; chunk += partial_slices) sum += partials[chunk * columns + column];
  sums[slice][lane] = sum;
  __syncthreads();
  if (slice != 0 || column >= columns) return;
  float all = add ? gradient[column] : 0;
  for (unsigned s = 0; s < partial_slices; ++s) all += sums[s][lane];
  gradient[column] = all;
}

// The gradient is, or grows by, the sums of the columns of partials [chunks][columns].
inline void issue_add_partials(cudaStream_t stream, const float* partials, std::int64_t chunks, std::int64_t columns,
                               bool add, float* gradient) {
  const auto blocks = static_cast<unsigned>((columns + partial_columns - 1) / partial_columns);
  launch(add_partials_kernel, blocks, partial_columns * partial_slices, 0, stream, partials, chunks, columns, add,
         gradient);
}

}  // namespace stepscope
