// The three matmuls of linear as specs, the same for every machine.
//     const MatmulSpec forward = linear_spec(program, op);
#pragma once

#include "model/base/matmul_spec.h"
#include "model/cpu/operands.h"
#include "model/program/program.h"

namespace stepscope {

// An operand as a matrix; throws ProgramError (V2) for a transposed one where that may not be.
[[nodiscard]] MatrixView linear_matrix(const Operation& op, int in, bool may_be_transposed = false);

[[nodiscard]] MatmulSpec linear_spec(const Program& program, const Operation& op);
// x^T dy, or dy^T x where the weight is stored [O, I]: the operand whose columns are the gradient's rows is the left one.
[[nodiscard]] int weight_gradient_rows(const Operation& op);
[[nodiscard]] MatmulSpec linear_weight_gradient_spec(const Program& program, const Operation& op);
[[nodiscard]] MatmulSpec linear_input_gradient_spec(const Program& program, const Operation& op);

}  // namespace stepscope
