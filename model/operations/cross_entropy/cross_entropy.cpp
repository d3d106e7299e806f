#include "model/operations/cross_entropy/cross_entropy.h"

#include "model/operations/types.h"
#include "model/program/gradient.h"

namespace stepscope {

namespace {

std::vector<Output> outputs(const Program& program, const Operation& op) {
  const Shape& logits = shape_of(op, 0);
  require(shape_of(op, 1).elements() == logits.rows(), "cross_entropy: " + std::to_string(shape_of(op, 1).elements()) +
                                                           " targets for " + std::to_string(logits.rows()) +
                                                           " rows of logits");
  return {{"loss", {wide(dtype_of(program, op, 0)), {1}}, Role::scalar},
          {"dlogits", {op.attributes.output, logits}, Role::gradient}};
}

void gradient(Differentiation& d, const Operation& op) { d.contribute(op.ins[0], d.value(op.outs[1]).value()); }

}  // namespace

const OperationKind cross_entropy_kind{
    .name = "cross_entropy", .outputs = outputs, .gradient = gradient, .flops = nullptr, .in_place = {{1, 0}}};

ValueId cross_entropy(Builder& b, const Operand& logits, const Operand& targets) {
  return b.emit(cross_entropy_kind, {.output = b.compute()}, {logits, targets, b.results()},
                {{b.program().results, Accumulate::no}})[0];
}

}  // namespace stepscope
