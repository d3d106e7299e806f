#include "model/training/forward_pass.h"

#include "model/execution/make_executor.h"
#include "model/layers/transformer.h"
#include "model/operations/lowering.h"
#include "model/program/verify.h"

namespace stepscope {

ForwardPass::ForwardPass(ModelSettings model, const ForwardShape& shape, const StepRecipe& recipe,
                         const Machine& machine) {
  model.dropout = 0;
  step_.program = build_transformer(builder_of(recipe, shape.rows, shape.sequence, shape.micro_steps), model);
  lower(step_.program, machine);
  verify(step_.program);
  step_.plan = plan_memory(step_.program);
  verify(step_.program, step_.plan);
  executor_ = make_executor(step_.program, step_.plan, machine);
}

void ForwardPass::take_parameters(const Program& trained, const Executor& from) {
  std::vector<std::byte> bytes;
  for (const StateId id : step_.program.states_of(StateKind::parameter)) {
    const State& state = step_.program.state(id);
    bytes.resize(static_cast<std::size_t>(state.type.size_bytes()));
    from.read(trained.find_state(state.name), bytes);
    executor_->write(id, bytes);
  }
}

std::int64_t ForwardPass::bytes() const { return state_bytes(step_.program).total() + step_.plan.arena_bytes; }

}  // namespace stepscope
