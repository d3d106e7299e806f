#include "model/operations/linear_gelu/linear_gelu.h"

#include "model/operations/gelu/gelu.h"
#include "model/operations/linear/linear_gradient.h"
#include "model/operations/types.h"
#include "model/program/gradient.h"

namespace stepscope {

namespace {

enum Outputs { out_u, out_g };

std::vector<Output> outputs(const Program& program, const Operation& op) {
  const Shape &x = shape_of(op, 0), &weight = shape_of(op, 1);
  const DType dtype = dtype_of(program, op, 0);
  require(weight.rank() == 2 && weight[0] == x.last(),
          "linear_gelu: weight " + to_string(weight) + ", but x has " + std::to_string(x.last()) + " features");
  require(op.ins.size() == 3 && shape_of(op, 2) == Shape{weight[1]},
          "linear_gelu: no bias, or of another width than weight " + to_string(weight));
  require(dtype == dtype_of(program, op, 1) && dtype == dtype_of(program, op, 2) && dtype == op.attributes.output,
          "linear_gelu: x, weight, bias and outputs of several types");
  const TensorType type{dtype, with_last(x, weight[1])};
  return {{"u", type, Role::activation}, {"g", type, Role::activation}};
}

void gradient(Differentiation& d, const Operation& op) {
  const ValueId u = op.outs[out_u];
  if (d.has_adjoint(u)) return linear_gradients(d, op, d.adjoint(u));
  const ValueId du = d.emit(gelu_gradient_kind, {}, {d.adjoint(op.outs[out_g]), d.value(u)})[0];
  linear_gradients(d, op, whole(d.program(), du));
}

std::vector<Output> input_gradient_outputs(const Program& program, const Operation& op) {
  const Shape &dy = shape_of(op, 0), &weight = shape_of(op, 1);
  const DType dtype = dtype_of(program, op, 2);
  require(weight[1] == dy.last() && shape_of(op, 2) == with_last(dy, weight[0]),
          "linear_gelu_input_gradient: dy, weight " + to_string(weight) + " and u do not fit");
  require(dtype == dtype_of(program, op, 0) && dtype == op.attributes.output,
          "linear_gelu_input_gradient: dy, u and du of several types");
  return {{"du", {dtype, shape_of(op, 2)}, Role::gradient}};
}

std::int64_t forward_flops(const Program&, const Operation& op, bool) {
  return 2 * shape_of(op, 0).elements() * shape_of(op, 1)[1];
}
std::int64_t input_gradient_flops(const Program&, const Operation& op, bool) {
  return 2 * shape_of(op, 0).elements() * shape_of(op, 1)[0];
}

}  // namespace

const OperationKind linear_gelu_kind{
    .name = "linear_gelu", .outputs = outputs, .gradient = gradient, .flops = forward_flops};
const OperationKind linear_gelu_input_gradient_kind{
    .name = "linear_gelu_input_gradient", .outputs = input_gradient_outputs, .flops = input_gradient_flops};

ValueId linear_gelu(Builder& b, const Operand& x, const Operand& weight, const Operand& bias) {
  return b.emit(linear_gelu_kind, {.output = b.compute()}, {x, weight, bias})[out_g];
}

std::optional<ValueId> pre_activation_of(const Differentiation& d, const Operand& x) {
  if (!x.is_value() || x.view != whole_view(d.program().type(x).shape)) return std::nullopt;
  const Operation* const maker = d.producer(x.value());
  if (maker->kind != &linear_gelu_kind || x.value() != maker->outs[out_g] || d.readers(x.value()) != 1)
    return std::nullopt;
  return maker->outs[out_u];
}

}  // namespace stepscope
