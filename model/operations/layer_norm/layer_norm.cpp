#include "model/operations/layer_norm/layer_norm.h"

#include "model/operations/types.h"
#include "model/program/gradient.h"

namespace stepscope {

namespace {

std::vector<Output> outputs(const Program& program, const Operation& op) {
  const Shape& x = shape_of(op, 0);
  for (const int parameter : {1, 2})
    require(shape_of(op, parameter) == Shape{x.last()},
            std::string("layer_norm: ") + (parameter == 1 ? "scale " : "bias ") + to_string(shape_of(op, parameter)) +
                ", but x has " + std::to_string(x.last()) + " features");
  const DType dtype = dtype_of(program, op, 0);
  return {{"y", {op.attributes.output, x}, Role::activation},
          {"mean", {wide(dtype), {x.rows()}}, Role::statistic},
          {"rstd", {wide(dtype), {x.rows()}}, Role::statistic}};
}

void gradient(Differentiation& d, const Operation& op) {
  const Operand dy = d.adjoint(op.outs[0]);
  const Operand x = d.value(op.ins[0]), mean = d.value(op.outs[1]), rstd = d.value(op.outs[2]);
  const Write scale = d.gradient_write(op.ins[1]), bias = d.gradient_write(op.ins[2]);
  std::vector<Operand> ins{dy, x, mean, rstd, op.ins[1]};
  if (!d.needs(op.ins[0])) {
    d.emit(layer_norm_gradient_kind, {}, std::move(ins), {scale, bias});
    return;
  }
  d.contribute(op.ins[0], [&](std::optional<Operand> so_far) {
    if (so_far) ins.push_back(*so_far);
    return d.emit(layer_norm_gradient_kind, {}, std::move(ins), {scale, bias})[0];
  });
}

std::vector<Output> gradient_outputs(const Program& program, const Operation& op) {
  const Shape& x = shape_of(op, 1);
  require(shape_of(op, 0) == x, "layer_norm_gradient: dy " + to_string(shape_of(op, 0)) + ", but x " + to_string(x));
  require(op.ins.size() < 6 || shape_of(op, 5) == x,
          "layer_norm_gradient: what x's gradient has so far is of another shape");
  return {{"dx", {dtype_of(program, op, 1), x}, Role::gradient}};
}

}  // namespace

const OperationKind layer_norm_kind{.name = "layer_norm", .outputs = outputs, .gradient = gradient};
const OperationKind layer_norm_gradient_kind{.name = "layer_norm_gradient",
                                             .outputs = gradient_outputs,
                                             .gradient = nullptr,
                                             .flops = nullptr,
                                             .in_place = {{0, 5}, {0, 0}}};

ValueId layer_norm(Builder& b, const Operand& x, const Operand& scale, const Operand& bias, double epsilon) {
  return b.emit(layer_norm_kind, {.output = b.compute(), .epsilon = epsilon}, {x, scale, bias})[0];
}

}  // namespace stepscope
