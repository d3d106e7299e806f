// Sums down columns on a card in two stages (model/cpu/tile.h), shared by the gradients of linear and the norms.
//     launch(add_partials_kernel, column_blocks(n), columns_a_block, 0, stream, partials, chunks, n, add, gradient);       // stage 2
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

static __global__ void __launch_bounds__(columns_a_block)
    add_partials_kernel(const float* partials, std::int64_t chunks, std::int64_t columns, bool add, float* gradient) {
  add_partials(ColumnTile{}, partials, chunks, columns, add, gradient);
}

}  // namespace stepscope
