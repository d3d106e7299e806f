// linear: y = x weight + bias for every row of x; weights are stored input-major, so rows of y are sums of rows of the weight.
//     y = x W + b          x [N, I]   W [I, O]   b [O]   y [N, O]
//     dW = x^T dy          db = column sums of dy          dx = dy W^T
// The three matmuls are the machine's (model/cpu/matmul.h): sums in fp32 over operands of the compute type, one rounding at the end.
// Here is what is left: the column sums of dy in two stages (model/cpu/tile.h), so that their bits do not depend on who adds what.
// Bound by FLOPs: 2 N I O each. The column sums read dy once more, N O elements, hidden behind the matmul of dW.
// Source: chain rule, held to fp64 differences by OperationLaws.
#pragma once

#include <cstdint>

#include "model/base/body.h"
#include "model/base/half.h"

namespace stepscope {

// Stage 1: sum [columns] = the rows first .. past of dy [.., stride] added in order.
template <class Tile, class T>
STEPSCOPE_BODY void sum_rows(const Tile& tile, const T* dy, std::int64_t stride, std::int64_t first, std::int64_t past,
                             std::int64_t columns, Accumulator<T>* sum) {
  tile.for_each(0, 1, columns, [=](std::int64_t, std::int64_t j) { sum[j] = 0; });
  tile.for_each(first, past, columns, [=](std::int64_t row, std::int64_t j) { sum[j] += load(dy[row * stride + j]); });
}

// Stage 2: the gradient is, or grows by, the partial sums added in the order of their chunks.
template <class Tile, class A>
STEPSCOPE_BODY void add_partials(const Tile& tile, const A* partials, std::int64_t count, std::int64_t columns,
                                 bool add, A* gradient) {
  if (!add) tile.for_each(0, 1, columns, [=](std::int64_t, std::int64_t j) { gradient[j] = 0; });
  tile.for_each(0, count, columns,
                [=](std::int64_t chunk, std::int64_t j) { gradient[j] += partials[chunk * columns + j]; });
}

}  // namespace stepscope
