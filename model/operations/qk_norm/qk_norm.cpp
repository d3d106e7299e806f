#include "model/operations/qk_norm/qk_norm.h"

#include "model/operations/types.h"
#include "model/program/gradient.h"

namespace stepscope {

namespace {

// The shape of rstd; qkv and the first of the scales are these ins.
Shape check(const Operation& op, int packed, int scales) {
  const Attributes& a = op.attributes;
  const Shape& qkv = shape_of(op, packed);
  require_packed(qkv, a.heads, a.head_dim, "qk_norm");
  for (const int scale : {scales, scales + 1})
    require(shape_of(op, scale) == Shape{a.head_dim}, "qk_norm: scale " + to_string(shape_of(op, scale)) +
                                                          ", but heads have " + std::to_string(a.head_dim) +
                                                          " features");
  return {qkv.rows(), a.heads + packed_heads(qkv, a.heads, a.head_dim).kv_heads};
}

std::vector<Output> outputs(const Program& program, const Operation& op) {
  const Shape statistics = check(op, 0, 1);
  const DType dtype = dtype_of(program, op, 0);
  return {{"y", {dtype, shape_of(op, 0)}, Role::activation}, {"rstd", {wide(dtype), statistics}, Role::statistic}};
}

void gradient(Differentiation& d, const Operation& op) {
  const Operand dy = d.adjoint(op.outs[0]);
  const Operand qkv = d.value(op.ins[0]), rstd = d.value(op.outs[1]);
  const Write q_scale = d.gradient_write(op.ins[1]), k_scale = d.gradient_write(op.ins[2]);
  const ValueId dqkv =
      d.emit(qk_norm_gradient_kind, op.attributes, {dy, qkv, rstd, op.ins[1], op.ins[2]}, {q_scale, k_scale})[0];
  d.contribute(op.ins[0], dqkv);
}

std::vector<Output> gradient_outputs(const Program& program, const Operation& op) {
  require(shape_of(op, 2) == check(op, 1, 3), "qk_norm_gradient: rstd of another shape");
  require(shape_of(op, 0) == shape_of(op, 1), "qk_norm_gradient: dy and qkv of two shapes");
  return {{"dqkv", {dtype_of(program, op, 1), shape_of(op, 1)}, Role::gradient}};
}

}  // namespace

const OperationKind qk_norm_kind{
    .name = "qk_norm", .outputs = outputs, .gradient = gradient, .flops = nullptr, .in_place = {{0, 0}}};
const OperationKind qk_norm_gradient_kind{.name = "qk_norm_gradient",
                                          .outputs = gradient_outputs,
                                          .gradient = nullptr,
                                          .flops = nullptr,
                                          .in_place = {{0, 0}}};

ValueId qk_norm(Builder& b, const Operand& qkv, const Operand& q_scale, const Operand& k_scale, std::int64_t heads,
                double epsilon) {
  const Attributes attributes{
      .epsilon = epsilon, .heads = static_cast<int>(heads), .head_dim = static_cast<int>(q_scale.view.shape.last())};
  return b.emit(qk_norm_kind, attributes, {qkv, q_scale, k_scale})[0];
}

}  // namespace stepscope
