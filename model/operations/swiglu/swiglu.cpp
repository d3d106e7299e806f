#include "model/operations/swiglu/swiglu.h"

#include "model/operations/types.h"
#include "model/program/gradient.h"

namespace stepscope {

namespace {

std::vector<Output> outputs(const Program& program, const Operation& op) {
  require(shape_of(op, 0) == shape_of(op, 1),
          "swiglu: gate " + to_string(shape_of(op, 0)) + ", but up " + to_string(shape_of(op, 1)));
  require(dtype_of(program, op, 0) == dtype_of(program, op, 1), "swiglu: gate and up of two types");
  return {{"g", {dtype_of(program, op, 0), shape_of(op, 0)}, Role::activation}};
}

void gradient(Differentiation& d, const Operation& op) {
  const Operand dg = d.adjoint(op.outs[0]);
  const Operand gate = d.value(op.ins[0]), up = d.value(op.ins[1]);
  const std::vector<ValueId> both = d.emit(swiglu_gradient_kind, {}, {dg, gate, up});
  d.contribute(op.ins[0], both[0]);
  d.contribute(op.ins[1], both[1]);
}

std::vector<Output> gradient_outputs(const Program& program, const Operation& op) {
  const TensorType type{dtype_of(program, op, 1), shape_of(op, 1)};
  require(shape_of(op, 0) == type.shape && shape_of(op, 2) == type.shape,
          "swiglu_gradient: dg, gate and up of two shapes");
  return {{"dgate", type, Role::gradient}, {"dup", type, Role::gradient}};
}

}  // namespace

const OperationKind swiglu_kind{
    .name = "swiglu", .outputs = outputs, .gradient = gradient, .flops = nullptr, .in_place = {{0, 0}, {0, 1}}};
const OperationKind swiglu_gradient_kind{.name = "swiglu_gradient",
                                         .outputs = gradient_outputs,
                                         .gradient = nullptr,
                                         .flops = nullptr,
                                         .in_place = {{0, 0}, {0, 1}, {1, 2}, {1, 1}}};

ValueId swiglu(Builder& b, const Operand& gate, const Operand& up) { return b.emit(swiglu_kind, {}, {gate, up})[0]; }

}  // namespace stepscope
