#include "model/operations/embedding/embedding.h"

#include "model/operations/types.h"
#include "model/program/gradient.h"

namespace stepscope {

namespace {

std::vector<Output> outputs(const Program&, const Operation& op) {
  const Shape &tokens = shape_of(op, 0), &table = shape_of(op, 1), &positions = shape_of(op, 2);
  require(positions == Shape{tokens[1], table[1]}, "embedding: positions " + to_string(positions) +
                                                       ", but x is [S,H] = " + to_string(Shape{tokens[1], table[1]}));
  return {{"x", {op.attributes.output, {tokens[0], tokens[1], table[1]}}, Role::activation}};
}

void gradient(Differentiation& d, const Operation& op) {
  const Operand dx = d.adjoint(op.outs[0]);
  const Write table = d.gradient_write(op.ins[1]), positions = d.gradient_write(op.ins[2]);
  d.emit(embedding_gradient_kind, {}, {dx, op.ins[0]}, {table, positions});
}

std::vector<Output> no_outputs(const Program& program, const Operation& op) {
  require(program.state(op.writes[0].state).type.shape.last() == shape_of(op, 0).last(),
          "embedding_gradient: table of another width");
  return {};
}

}  // namespace

const OperationKind embedding_kind{.name = "embedding", .outputs = outputs, .gradient = gradient, .by_rows = true};
const OperationKind embedding_gradient_kind{.name = "embedding_gradient", .outputs = no_outputs, .by_rows = true};

ValueId embedding(Builder& b, const Operand& tokens, const Operand& table, const Operand& positions) {
  return b.emit(embedding_kind, {.output = b.compute()}, {tokens, table, positions})[0];
}

}  // namespace stepscope
