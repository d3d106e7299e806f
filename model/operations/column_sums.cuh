// Sums down columns on a card in two stages (model/cpu/tile.h), shared by the gradients of linear and the norms.
//     issue_add_partials(stream, partials, chunks, columns, add, gradient);                // stage 2
#pragma once

#include "model/cpu/tile.h"
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
