#include "model/operations/linear/linear_matmuls.h"

#include <string>

#include "model/base/error.h"
#include "model/program/operation.h"

namespace stepscope {

MatrixView linear_matrix(const Operation& op, int in, bool may_be_transposed) {
  const MatrixView matrix = matrix_of(op.ins[static_cast<std::size_t>(in)].view, op.kind->name);
  if (matrix.transposed && !may_be_transposed)
    throw ProgramError("V2", std::string(op.kind->name) + ": a transposed operand");
  return matrix;
}

MatmulSpec linear_spec(const Program& program, const Operation& op) {
  const MatrixView x = linear_matrix(op, 0), weight = linear_matrix(op, 1, true);
  return {.m = x.rows,
          .n = weight.columns,
          .k = weight.rows,
          .transpose_b = weight.transposed,
          .a_stride = x.stride,
          .b_stride = weight.stride,
          .c_stride = weight.columns,
          .in = in_dtype(program, op, 0),
          .out = op.attributes.output,
          .bias = op.ins.size() > 2};
}

int weight_gradient_rows(const Operation& op) { return op.attributes.transposed_weight ? 1 : 0; }

MatmulSpec linear_weight_gradient_spec(const Program& program, const Operation& op) {
  const MatrixView left = linear_matrix(op, weight_gradient_rows(op)),
                   right = linear_matrix(op, 1 - weight_gradient_rows(op));
  return {.m = left.columns,
          .n = right.columns,
          .k = left.rows,
          .transpose_a = true,
          .a_stride = left.stride,
          .b_stride = right.stride,
          .c_stride = right.columns,
          .in = in_dtype(program, op, 0),
          .out = program.state(op.writes[0].state).type.dtype,
          .may_add = op.writes[0].accumulate != Accumulate::no};
}

MatmulSpec linear_input_gradient_spec(const Program& program, const Operation& op) {
  const MatrixView dy = linear_matrix(op, 0), weight = linear_matrix(op, 1, true);
  return {.m = dy.rows,
          .n = weight.rows,
          .k = weight.columns,
          .transpose_b = !weight.transposed,
          .a_stride = dy.stride,
          .b_stride = weight.stride,
          .c_stride = weight.rows,
          .in = in_dtype(program, op, 0),
          .out = op.attributes.output};
}

}  // namespace stepscope
