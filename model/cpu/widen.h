// Narrow rows to fp32 and back, one row or a block of rows at a time: for processors that cannot multiply narrow types.
//     widen_rows(DType::bf16, narrow, stride, wide, columns, rows, columns);     // wide[r][j] = narrow[r][j]
//     narrow_rows(DType::bf16, wide, columns, narrow, stride, rows, columns);    // rounded to nearest even
// Strides are in elements.
#pragma once

#include <cstdint>

#include "model/base/dtype.h"

namespace stepscope {

void widen_rows(DType from, const void* narrow, std::int64_t narrow_stride, float* wide, std::int64_t wide_stride,
                std::int64_t rows, std::int64_t columns);
// add: to what stands there, each sum rounded once.
void narrow_rows(DType to, const float* wide, std::int64_t wide_stride, void* narrow, std::int64_t narrow_stride,
                 std::int64_t rows, std::int64_t columns, bool add = false);

}  // namespace stepscope
