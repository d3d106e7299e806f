#include "model/program/add.h"

#include "model/base/error.h"
#include "model/program/gradient.h"

namespace stepscope {

namespace {

std::vector<Output> outputs(const Program& program, const Operation& op) {
  const TensorType& a = program.type(op.ins[0]);
  if (a != program.type(op.ins[1])) throw ProgramError("V2", "add: two different types");
  return {{"sum", a, program.value(op.ins[0].value()).role}};
}

void gradient(Differentiation& d, const Operation& op) {
  const ValueId dy = d.adjoint(op.outs[0]).value();
  d.contribute(op.ins[0], dy);
  d.contribute(op.ins[1], dy);
}

std::vector<Output> rows_outputs(const Program& program, const Operation& op) {
  const TensorType& piece = program.type(op.ins[0]);
  const TensorType whole{op.attributes.output, op.attributes.whole};
  const std::int64_t past = op.attributes.first_row + op.ins[0].view.shape.rows();
  if (piece.dtype != whole.dtype || piece.shape.last() != whole.shape.last() || past > whole.shape.rows() ||
      (op.ins.size() > 1 && program.type(op.ins[1]) != whole))
    throw ProgramError("V2", "add_rows: the piece is no rows of the whole");
  return {{"rows", whole, Role::gradient}};
}

}  // namespace

const OperationKind add_kind{.name = "add",
                             .outputs = outputs,
                             .gradient = gradient,
                             .flops = nullptr,
                             .in_place = {{0, 0}, {0, 1}},
                             .random = false};

const OperationKind add_rows_kind{.name = "add_rows", .outputs = rows_outputs, .in_place = {{0, 1}}};

}  // namespace stepscope
