// Views of operands as the matrices that matmuls and attention take. Strides and offsets in elements.
//     const MatrixView x = matrix_of(op.ins[0].view, "linear");     // all leading axes as one axis of rows
// Throws ProgramError (V2), with the operation's name, where a view cannot be read that way.
#pragma once

#include <string_view>

#include "model/cpu/binding.h"

namespace stepscope {

struct MatrixView {
  std::int64_t rows = 0, columns = 0, stride = 0;
  bool transposed = false;  // element (i, j) lies at i + j stride: a weight that views an embedding
};

[[nodiscard]] MatrixView matrix_of(const View& view, std::string_view operation);

// Throws ProgramError where a binding has more threads than its workspace was planned for.
void check_slots(const CpuBinding& binding);

[[nodiscard]] DType in_dtype(const Program& program, const Operation& op, int in);

}  // namespace stepscope
