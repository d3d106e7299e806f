#include "model/operations/rotary/rotary.h"

#include "model/operations/types.h"
#include "model/program/gradient.h"

namespace stepscope {

namespace {

std::vector<Output> outputs_as(const Program& program, const Operation& op, const char* name, Role role) {
  const Attributes& a = op.attributes;
  const Shape& qkv = shape_of(op, 0);
  require(a.head_dim > 0 && a.head_dim % 2 == 0, "rotary: head_dim " + std::to_string(a.head_dim) + " is not even");
  require_packed(qkv, a.heads, a.head_dim, "rotary");
  return {{name, {dtype_of(program, op, 0), qkv}, role}};
}

std::vector<Output> outputs(const Program& program, const Operation& op) {
  return outputs_as(program, op, "turned", Role::activation);
}

void gradient(Differentiation& d, const Operation& op) {
  const Operand dy = d.adjoint(op.outs[0]);
  d.contribute(op.ins[0], d.emit(rotary_gradient_kind, op.attributes, {dy})[0]);
}

std::vector<Output> gradient_outputs(const Program& program, const Operation& op) {
  return outputs_as(program, op, "dqkv", Role::gradient);
}

}  // namespace

const OperationKind rotary_kind{
    .name = "rotary", .outputs = outputs, .gradient = gradient, .flops = nullptr, .in_place = {{0, 0}}};
const OperationKind rotary_gradient_kind{.name = "rotary_gradient",
                                         .outputs = gradient_outputs,
                                         .gradient = nullptr,
                                         .flops = nullptr,
                                         .in_place = {{0, 0}}};

ValueId rotary(Builder& b, const Operand& qkv, std::int64_t heads, std::int64_t head_dim, const RotaryScale& scale) {
  const Attributes attributes{
      .heads = static_cast<int>(heads), .head_dim = static_cast<int>(head_dim), .rotary = scale};
  return b.emit(rotary_kind, attributes, {qkv})[0];
}

}  // namespace stepscope
