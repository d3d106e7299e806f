#include "model/operations/rms_norm/rms_norm.h"

#include "model/operations/types.h"
#include "model/program/gradient.h"

namespace stepscope {

namespace {

std::vector<Output> outputs(const Program& program, const Operation& op) {
  const Shape &x = shape_of(op, 0), &scale = shape_of(op, 1);
  require(scale == Shape{x.last()},
          "rms_norm: scale " + to_string(scale) + ", but x has " + std::to_string(x.last()) + " features");
  const DType dtype = dtype_of(program, op, 0);
  return {{"y", {op.attributes.output, x}, Role::activation}, {"rstd", {wide(dtype), {x.rows()}}, Role::statistic}};
}

void gradient(Differentiation& d, const Operation& op) {
  const Operand dy = d.adjoint(op.outs[0]);
  const Operand x = d.value(op.ins[0]), rstd = d.value(op.outs[1]);
  const Write scale = d.gradient_write(op.ins[1]);
  std::vector<Operand> ins{dy, x, rstd, op.ins[1]};
  if (!d.needs(op.ins[0])) {
    d.emit(rms_norm_gradient_kind, {}, std::move(ins), {scale});
    return;
  }
  d.contribute(op.ins[0], [&](std::optional<Operand> so_far) {
    if (so_far) ins.push_back(*so_far);
    return d.emit(rms_norm_gradient_kind, {}, std::move(ins), {scale})[0];
  });
}

std::vector<Output> gradient_outputs(const Program& program, const Operation& op) {
  const Shape& x = shape_of(op, 1);
  require(shape_of(op, 0) == x, "rms_norm_gradient: dy " + to_string(shape_of(op, 0)) + ", but x " + to_string(x));
  require(op.ins.size() < 5 || shape_of(op, 4) == x,
          "rms_norm_gradient: what x's gradient has so far is of another shape");
  return {{"dx", {dtype_of(program, op, 1), x}, Role::gradient}};
}

}  // namespace

const OperationKind rms_norm_kind{.name = "rms_norm", .outputs = outputs, .gradient = gradient, .flops = nullptr};
const OperationKind rms_norm_gradient_kind{.name = "rms_norm_gradient",
                                           .outputs = gradient_outputs,
                                           .gradient = nullptr,
                                           .flops = nullptr,
                                           .in_place = {{0, 4}, {0, 0}}};

ValueId rms_norm(Builder& b, const Operand& x, const Operand& scale, double epsilon) {
  return b.emit(rms_norm_kind, {.output = b.compute(), .epsilon = epsilon}, {x, scale})[0];
}

}  // namespace stepscope
