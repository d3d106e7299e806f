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

}  // namespace

const OperationKind add_kind{.name = "add",
                             .outputs = outputs,
                             .gradient = gradient,
                             .flops = nullptr,
                             .in_place = {{0, 0}, {0, 1}},
                             .random = false};

}  // namespace stepscope
