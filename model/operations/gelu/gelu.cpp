#include "model/operations/gelu/gelu.h"

#include "model/operations/types.h"
#include "model/program/gradient.h"

namespace stepscope {

namespace {

std::vector<Output> outputs(const Program& program, const Operation& op) {
  return {{"g", {dtype_of(program, op, 0), shape_of(op, 0)}, Role::activation}};
}

void gradient(Differentiation& d, const Operation& op) {
  const Operand dg = d.adjoint(op.outs[0]);
  const Operand u = d.value(op.ins[0]);
  d.contribute(op.ins[0], d.emit(gelu_gradient_kind, {}, {dg, u})[0]);
}

std::vector<Output> gradient_outputs(const Program& program, const Operation& op) {
  require(shape_of(op, 0) == shape_of(op, 1), "gelu_gradient: dg and u of two shapes");
  return {{"du", {dtype_of(program, op, 1), shape_of(op, 1)}, Role::gradient}};
}

}  // namespace

const OperationKind gelu_kind{
    .name = "gelu", .outputs = outputs, .gradient = gradient, .flops = nullptr, .in_place = {{0, 0}}};
const OperationKind gelu_gradient_kind{
    .name = "gelu_gradient", .outputs = gradient_outputs, .gradient = nullptr, .flops = nullptr, .in_place = {{0, 0}}};

ValueId gelu(Builder& b, const Operand& u) { return b.emit(gelu_kind, {}, {u})[0]; }

}  // namespace stepscope
