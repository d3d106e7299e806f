// Matmuls as plain loops, for fp64 (tests) and for shapes too small for a library: c [m,n] = op(a) op(b) (+ bias), or c += op(a) op(b).
//     plain_matmul<double>({.m = 3, .n = 5, .k = 7, .a_stride = 7, .b_stride = 5, .c_stride = 5}, a, b, c, nullptr, false);
// Sums run over k in order, in the accumulator of T; strides in elements between stored rows.
#pragma once

#include <cstdint>

#include "model/base/half.h"

namespace stepscope {

struct PlainSpec {
  std::int64_t m = 0, n = 0, k = 0;
  bool transpose_a = false, transpose_b = false;
  std::int64_t a_stride = 0, b_stride = 0, c_stride = 0;
};

template <class T, class Out = T>
void plain_matmul(const PlainSpec& s, const T* a, const T* b, Out* c, const T* bias, bool add) {
  using A = Accumulator<T>;
  constexpr std::int64_t block = 16;  // columns whose sums are in registers together
  for (std::int64_t i = 0; i < s.m; ++i)
    for (std::int64_t first = 0; first < s.n; first += block) {
      const std::int64_t columns = s.n - first < block ? s.n - first : block;
      A sum[block] = {};
      for (std::int64_t p = 0; p < s.k; ++p) {
        const A left = load(s.transpose_a ? a[p * s.a_stride + i] : a[i * s.a_stride + p]);
        if (s.transpose_b)
          for (std::int64_t j = 0; j < columns; ++j) sum[j] += left * load(b[(first + j) * s.b_stride + p]);
        else
          for (std::int64_t j = 0; j < columns; ++j) sum[j] += left * load(b[p * s.b_stride + first + j]);
      }
      Out* const row = c + i * s.c_stride + first;
      for (std::int64_t j = 0; j < columns; ++j) {
        const A value = sum[j] + (bias != nullptr ? load(bias[first + j]) : A(0));
        row[j] = store<Out>(add ? load(row[j]) + value : value);
      }
    }
}

}  // namespace stepscope
