// How close two results must be, in one table by the type that the less exact one was computed in. No test has a tolerance of its own.
//     EXPECT_TRUE(close(y[i], expected[i], DType::bf16));
// `close` is symmetric in its two numbers: |a - b| <= absolute + relative max(|a|, |b|). Integers must be equal. NaN never passes, not
// even beside a NaN; an infinity passes beside the same infinity only. Operands are expected to be of order one.
#pragma once

#include <cmath>

#include "model/base/dtype.h"

namespace stepscope {

struct Tolerance {
  double relative, absolute;
};

[[nodiscard]] constexpr Tolerance tolerance(DType dtype) {
  switch (dtype) {
    case DType::fp64: return {1e-9, 1e-11};
    case DType::fp32: return {1e-5, 1e-5};  // rounding of a value 2^-24 = 6e-8, times the root of a thousand terms
    case DType::bf16: return {0x1p-6, 0x1p-6};  // four units in the last place: 2^-8 each
    case DType::fp16: return {0x1p-9, 0x1p-9};  // likewise: 2^-11 each
    case DType::int32:
    case DType::u8: return {0, 0};
  }
  return {0, 0};
}

[[nodiscard]] inline bool close(double a, double b, DType dtype) {
  if (a == b) return true;
  if (!std::isfinite(a) || !std::isfinite(b)) return false;
  const Tolerance limit = tolerance(dtype);
  return std::fabs(a - b) <= limit.absolute + limit.relative * std::fmax(std::fabs(a), std::fabs(b));
}

}  // namespace stepscope
