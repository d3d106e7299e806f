#include "model/operations/adam/adam.h"

#include <algorithm>

#include "model/operations/types.h"

namespace stepscope {

namespace {

std::vector<Output> outputs(const Program& program, const Operation& op) {
  const auto staged = static_cast<std::size_t>(std::ranges::count_if(op.writes, &Write::is_staged));
  require(op.ins.size() >= 3 + staged && op.writes.size() == 3 * (op.ins.size() - staged - 2),
          "adam: not three states for each gradient");
  std::vector<Output> outs;
  for (std::size_t w = 0; w < op.writes.size(); ++w) {
    const TensorType &state = program.state(op.writes[w].state).type, &gradient = program.type(op.ins[1 + w / 3]);
    require(state.shape == gradient.shape, "adam: a state and its gradient of two shapes");
    require(state.dtype == program.state(op.writes[0].state).type.dtype, "adam: states of two types");
    require(wide(gradient.dtype) == state.dtype, "adam: a gradient wider than its state, or fp64 and another");
    if (op.writes[w].is_staged()) outs.push_back({program.state(op.writes[w].state).name, state});
  }
  return outs;
}

}  // namespace

const OperationKind adam_kind{.name = "adam", .outputs = outputs};

}  // namespace stepscope
