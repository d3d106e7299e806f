// What a matmul multiplies, whatever the machine: c [m,n] = a [m,k] b [k,n], row-major. Strides in elements between stored rows.
//     const MatmulSpec spec{.m = T, .n = O, .k = I, .a_stride = I, .b_stride = O, .c_stride = O};
#pragma once

#include <cstdint>

#include "model/base/dtype.h"

namespace stepscope {

struct MatmulSpec {
  std::int64_t m = 0, n = 0, k = 0;
  bool transpose_a = false;  // a is stored [k, m]
  bool transpose_b = false;  // b is stored [n, k]
  std::int64_t a_stride = 0, b_stride = 0, c_stride = 0;
  DType in = DType::fp32;  // of a, b and bias: fp64, fp32, bf16 or fp16
  DType out = DType::fp32;  // as in, fp32 or, of fp32, a narrow type
  bool bias = false;  // [n], added to every row
  bool may_add = false;  // whether it may be asked to add; a narrow c is then rounded once an addition
};

}  // namespace stepscope
