#include "model/operations/materialised_attention/materialised_attention.h"

#include "model/operations/types.h"
#include "model/program/gradient.h"

namespace stepscope {

namespace {

Shape weights_shape(const Operation& op, int first) {
  const Shape& q = shape_of(op, first);
  return {q[0], op.attributes.heads, q[1], q[1]};
}

std::vector<Output> outputs(const Program& program, const Operation& op) {
  check_attention(program, op, 0);
  const Shape& q = shape_of(op, 0);
  const DType dtype = dtype_of(program, op, 0);
  const DType probabilities = rounds_probabilities(op) ? op.attributes.probabilities : wide(dtype);
  std::vector<Output> outs{{"o", {dtype, {q[0], q[1], q[2] * q[3]}}, Role::activation},
                           {"p", {probabilities, weights_shape(op, 0)}, Role::activation}};
  if (wide(dtype) != dtype && probabilities != dtype)
    outs.push_back({"p_compute", {dtype, weights_shape(op, 0)}, Role::activation});
  return outs;
}

void gradient(Differentiation& d, const Operation& op) {
  const Operand dout = d.adjoint(op.outs[0]);
  std::vector<Operand> ins{dout, d.value(op.ins[0]), d.value(op.ins[1]), d.value(op.ins[2])};
  for (std::size_t p = 1; p < op.outs.size(); ++p) ins.push_back(d.value(op.outs[p]));
  d.contribute(op.ins[0], d.emit(materialised_attention_gradient_kind, op.attributes, std::move(ins))[0]);
}

std::vector<Output> gradient_outputs(const Program& program, const Operation& op) {
  check_attention(program, op, 1);
  return {{"dqkv", program.type(op.ins[1]), Role::gradient},
          {"ds", {dtype_of(program, op, 1), weights_shape(op, 1)}, Role::gradient}};
}

std::int64_t flops(const Program&, const Operation& op, bool causal_half) {
  return 2 * attention_matmul_flops(op, 0, causal_half);
}
std::int64_t gradient_flops(const Program&, const Operation& op, bool causal_half) {
  return 4 * attention_matmul_flops(op, 1, causal_half);
}

}  // namespace

const OperationKind materialised_attention_kind{
    .name = "materialised_attention", .outputs = outputs, .gradient = gradient, .flops = flops};
const OperationKind materialised_attention_gradient_kind{
    .name = "materialised_attention_gradient", .outputs = gradient_outputs, .flops = gradient_flops};

ValueId materialised_attention(Builder& b, const AttentionOperands& operands, bool causal, double scale,
                               DType probabilities) {
  return b.emit(materialised_attention_kind, attention_attributes(operands, causal, scale, probabilities),
                in_order(operands))[0];
}

}  // namespace stepscope
