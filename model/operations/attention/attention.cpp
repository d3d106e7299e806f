#include "model/operations/attention/attention.h"

#include "model/operations/attention/attention_library.h"
#include "model/operations/types.h"
#include "model/program/gradient.h"

namespace stepscope {

std::vector<Operand> in_order(const AttentionOperands& operands) {
  std::vector<Operand> ins{operands.q, operands.k, operands.v};
  if (operands.lengths) ins.push_back(*operands.lengths);
  if (operands.mask) ins.push_back(*operands.mask);
  return ins;
}

Attributes attention_attributes(const AttentionOperands& operands, bool causal, double scale, DType probabilities) {
  const Shape &q = operands.q.view.shape, &k = operands.k.view.shape;
  return {.scale = scale,
          .heads = static_cast<int>(q[2] * q[3] / k[3]),
          .head_dim = static_cast<int>(k[3]),
          .mask = {.causal = causal, .padding = operands.lengths.has_value(), .custom = operands.mask.has_value()},
          .probabilities = probabilities};
}

void check_attention(const Program& program, const Operation& op, int first) {
  const auto in = [&](int i) -> const Operand& { return op.ins[static_cast<std::size_t>(first + i)]; };
  const Shape &q = in(0).view.shape, &k = in(1).view.shape;
  require(q.rank() == 4 && k == with_last(q, op.attributes.head_dim) && in(2).view.shape == k,
          "attention: k and v are not of one shape [B,S,kv_heads,D]");
  require(q[2] * q[3] == std::int64_t{op.attributes.heads} * op.attributes.head_dim,
          "attention: q is not [B,S,kv_heads,queries D]");
  require(in(1).value() == in(0).value() && in(2).value() == in(0).value(),
          "attention: q, k, v are not views of one packed value");
  require(!rounds_probabilities(op) || program.type(in(0)).dtype != DType::fp64,
          "attention: fp64 with narrow probabilities");
  require(program.type(in(0)).shape.elements() == q.elements() + 2 * k.elements(),
          "attention: the packed value holds more than q, k, v");
}

std::int64_t attention_matmul_flops(const Operation& op, int first, bool causal_half) {
  const Shape& q = shape_of(op, first);
  const std::int64_t flops = 2 * q.elements() * q[1];
  return causal_half && op.attributes.mask.causal ? flops / 2 : flops;
}

namespace {

std::vector<Output> outputs(const Program& program, const Operation& op) {
  check_attention(program, op, 0);
  const Shape& q = shape_of(op, 0);
  const DType dtype = dtype_of(program, op, 0);
  return {{"o", {dtype, {q[0], q[1], q[2] * q[3]}}, Role::activation},
          {"lse", {wide(dtype), {q[0], op.attributes.heads, q[1]}}, Role::statistic}};
}

void gradient(Differentiation& d, const Operation& op) {
  const Operand dout = d.adjoint(op.outs[0]);
  std::vector<Operand> ins{
      dout, d.value(op.ins[0]), d.value(op.ins[1]), d.value(op.ins[2]), d.value(op.outs[0]), d.value(op.outs[1])};
  ins.insert(ins.end(), op.ins.begin() + 3, op.ins.end());
  d.contribute(op.ins[0], d.emit(attention_gradient_kind, op.attributes, std::move(ins))[0]);
}

std::vector<Output> gradient_outputs(const Program& program, const Operation& op) {
  check_attention(program, op, 1);
  const Shape& q = shape_of(op, 1);
  if (by_library(op)) return {{"dqkv", program.type(op.ins[1]), Role::gradient}};
  return {{"dqkv", program.type(op.ins[1]), Role::gradient},
          {"delta", {wide(dtype_of(program, op, 1)), {q[0], op.attributes.heads, q[1]}}, Role::statistic}};
}

std::int64_t flops(const Program&, const Operation& op, bool causal_half) {
  return 2 * attention_matmul_flops(op, 0, causal_half);
}
std::int64_t gradient_flops(const Program&, const Operation& op, bool causal_half) {
  return 5 * attention_matmul_flops(op, 1, causal_half);
}

}  // namespace

const OperationKind attention_kind{.name = "attention", .outputs = outputs, .gradient = gradient, .flops = flops};
const OperationKind attention_gradient_kind{
    .name = "attention_gradient", .outputs = gradient_outputs, .flops = gradient_flops};

ValueId attention(Builder& b, const AttentionOperands& operands, bool causal, double scale, DType probabilities) {
  return b.emit(attention_kind, attention_attributes(operands, causal, scale, probabilities), in_order(operands))[0];
}

}  // namespace stepscope
