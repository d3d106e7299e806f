#include "model/operations/cast/cast.h"

#include "model/operations/types.h"

namespace stepscope {

namespace {

std::vector<Output> outputs(const Program& program, const Operation& op) {
  require(program.state(op.writes[0].state).type.shape == shape_of(op, 0), "cast: the copy is of another shape");
  return {};
}

}  // namespace

const OperationKind cast_kind{.name = "cast", .outputs = outputs};

void cast_copies(Builder& b) {
  for (const StateId copy : b.program().states_of(StateKind::copy))
    b.emit_prologue(cast_kind, {b.operand(b.program().state(copy).master)}, {{copy, Accumulate::no}});
}

}  // namespace stepscope
