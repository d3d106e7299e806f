#include "model/operations/dropout_add/dropout_add.h"

#include "model/operations/types.h"
#include "model/program/gradient.h"

namespace stepscope {

namespace {

std::vector<Output> outputs(const Program& program, const Operation& op) {
  const DType branch = dtype_of(program, op, 0), residual = dtype_of(program, op, 1);
  require(shape_of(op, 0) == shape_of(op, 1), "dropout_add: branch and residual of two shapes");
  require(residual == branch || residual == wide(branch), "dropout_add: a residual stream narrower than its branch");
  return {{"y", {residual, shape_of(op, 0)}, Role::activation}};
}

void gradient(Differentiation& d, const Operation& op) {
  const Operand dy = d.adjoint(op.outs[0]);
  d.contribute(op.ins[1], dy.value());
  if (!d.needs(op.ins[0])) return;
  Attributes attributes = op.attributes;
  attributes.output = d.program().type(op.ins[0]).dtype;
  const bool is_itself = attributes.rate == 0 && attributes.output == d.program().type(dy).dtype;
  d.contribute(op.ins[0], is_itself ? dy.value() : d.emit(dropout_gradient_kind, attributes, {dy, op.ins[2]})[0]);
}

std::vector<Output> gradient_outputs(const Program&, const Operation& op) {
  return {{"dbranch", {op.attributes.output, shape_of(op, 0)}, Role::gradient}};
}

}  // namespace

const OperationKind dropout_add_kind{.name = "dropout_add",
                                     .outputs = outputs,
                                     .gradient = gradient,
                                     .flops = nullptr,
                                     .in_place = {{0, 0}, {0, 1}},
                                     .random = true};
const OperationKind dropout_gradient_kind{.name = "dropout_gradient",
                                          .outputs = gradient_outputs,
                                          .gradient = nullptr,
                                          .flops = nullptr,
                                          .in_place = {{0, 0}},
                                          .random = true};

ValueId dropout_add(Builder& b, const Operand& branch, const Operand& residual, double rate) {
  return b.emit(dropout_add_kind, {.rate = rate, .random_site = b.new_random_site()},
                {branch, residual, b.control()})[0];
}

}  // namespace stepscope
