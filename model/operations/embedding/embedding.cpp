#include "model/operations/embedding/embedding.h"

#include "model/operations/types.h"
#include "model/program/gradient.h"

namespace stepscope {

namespace {

std::vector<Output> outputs(const Program&, const Operation& op) {
  const Shape &tokens = shape_of(op, 0), &table = shape_of(op, 1);
  const Shape of_row{tokens[1], table[1]};
  require(op.ins.size() < 3 || shape_of(op, 2) == of_row,
          "embedding: positions are of another shape than [S,H] = " + to_string(of_row));
  return {{"x", {op.attributes.output, {tokens[0], tokens[1], table[1]}}, Role::activation}};
}

void gradient(Differentiation& d, const Operation& op) {
  const Operand dx = d.adjoint(op.outs[0]);
  std::vector<Write> writes{d.gradient_write(op.ins[1])};
  if (op.ins.size() > 2) writes.push_back(d.gradient_write(op.ins[2]));
  d.emit(embedding_gradient_kind, {}, {dx, op.ins[0]}, std::move(writes));
}

std::vector<Output> no_outputs(const Program& program, const Operation& op) {
  require(program.state(op.writes[0].state).type.shape.last() == shape_of(op, 0).last(),
          "embedding_gradient: table of another width");
  return {};
}

}  // namespace

const OperationKind embedding_kind{.name = "embedding", .outputs = outputs, .gradient = gradient, .by_rows = true};
const OperationKind embedding_gradient_kind{.name = "embedding_gradient", .outputs = no_outputs, .by_rows = true};

ValueId embedding(Builder& b, const Operand& tokens, const Operand& table, const std::optional<Operand>& positions) {
  std::vector<Operand> ins{tokens, table};
  if (positions) ins.push_back(*positions);
  return b.emit(embedding_kind, {.output = b.residual()}, std::move(ins))[0];
}

}  // namespace stepscope
