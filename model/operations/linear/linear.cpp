#include "model/operations/linear/linear.h"

#include "model/operations/linear/linear_gradient.h"
#include "model/operations/linear_gelu/linear_gelu.h"
#include "model/operations/types.h"

namespace stepscope {

namespace {

std::vector<Output> outputs(const Program& program, const Operation& op) {
  const Shape &x = shape_of(op, 0), &weight = shape_of(op, 1);
  require(weight.rank() == 2 && weight[0] == x.last(),
          "linear: weight " + to_string(weight) + ", but x has " + std::to_string(x.last()) + " features");
  require(op.ins.size() < 3 || shape_of(op, 2) == Shape{weight[1]},
          "linear: bias of another width than weight " + to_string(weight));
  require(dtype_of(program, op, 0) == dtype_of(program, op, 1), "linear: x and weight of two types");
  return {{"y", {op.attributes.output, with_last(x, weight[1])}, Role::activation}};
}

// Whether the operand [I, O] views a state that is stored [O, I].
bool is_transposed(const Program& program, const Operand& weight) {
  return weight.view != whole_view(program.type(weight).shape);
}

// Where x is a gelu of a linear_gelu that nobody else reads, the slope of that gelu is taken along.
void contribute_input_gradient(Differentiation& d, const Operation& op, const Operand& dy, DType dtype) {
  if (const std::optional<ValueId> u = pre_activation_of(d, op.ins[0])) {
    const Operand u_again = d.value(*u);
    return d.contribute(whole(d.program(), *u),
                        d.emit(linear_gelu_input_gradient_kind, {.output = dtype}, {dy, op.ins[1], u_again})[0]);
  }
  d.contribute(op.ins[0], d.emit(linear_input_gradient_kind, {.output = dtype}, {dy, op.ins[1]})[0]);
}

void gradient(Differentiation& d, const Operation& op) { linear_gradients(d, op, d.adjoint(op.outs[0])); }

std::vector<Output> weight_gradient_outputs(const Program& program, const Operation& op) {
  const std::int64_t in = shape_of(op, 0).last(), out = shape_of(op, 1).last();
  const Shape expected = op.attributes.transposed_weight ? Shape{out, in} : Shape{in, out};
  require(program.state(op.writes[0].state).type.shape == expected,
          "linear_weight_gradient: another shape than " + to_string(expected));
  require(shape_of(op, 0).rows() == shape_of(op, 1).rows(), "linear_weight_gradient: x and dy of different lengths");
  return {};
}

std::vector<Output> input_gradient_outputs(const Program&, const Operation& op) {
  const Shape &dy = shape_of(op, 0), &weight = shape_of(op, 1);
  require(weight[1] == dy.last(), "linear_input_gradient: weight " + to_string(weight) + ", but dy has " +
                                      std::to_string(dy.last()) + " features");
  return {{"dx", {op.attributes.output, with_last(dy, weight[0])}, Role::gradient}};
}

std::int64_t forward_flops(const Program&, const Operation& op, bool) {
  return 2 * shape_of(op, 0).elements() * shape_of(op, 1)[1];
}
std::int64_t weight_gradient_flops(const Program&, const Operation& op, bool) {
  return 2 * shape_of(op, 0).elements() * shape_of(op, 1).last();
}
std::int64_t input_gradient_flops(const Program&, const Operation& op, bool) {
  return 2 * shape_of(op, 0).elements() * shape_of(op, 1)[0];
}

}  // namespace

const OperationKind linear_kind{.name = "linear", .outputs = outputs, .gradient = gradient, .flops = forward_flops};
const OperationKind linear_weight_gradient_kind{
    .name = "linear_weight_gradient", .outputs = weight_gradient_outputs, .flops = weight_gradient_flops};
const OperationKind linear_input_gradient_kind{
    .name = "linear_input_gradient", .outputs = input_gradient_outputs, .flops = input_gradient_flops};

void linear_gradients(Differentiation& d, const Operation& op, const Operand& dy) {
  const Operand x = d.value(op.ins[0]);
  const DType dtype = d.program().type(x).dtype;
  std::vector<Write> writes{d.gradient_write(op.ins[1])};
  if (op.ins.size() > 2) writes.push_back(d.gradient_write(op.ins[2]));
  d.emit(linear_weight_gradient_kind, {.transposed_weight = is_transposed(d.program(), op.ins[1])}, {x, dy},
         std::move(writes));
  if (d.needs(op.ins[0])) contribute_input_gradient(d, op, dy, dtype);
}

ValueId linear(Builder& b, const Operand& x, const Operand& weight, const std::optional<Operand>& bias, DType output) {
  std::vector<Operand> ins{x, weight};
  if (bias) ins.push_back(*bias);
  return b.emit(linear_kind, {.output = output}, std::move(ins))[0];
}

}  // namespace stepscope
