#include "model/training/evaluation.h"

#include <algorithm>

#include "model/base/error.h"
#include "model/layers/transformer.h"
#include "model/operations/lowering.h"
#include "model/program/verify.h"
#include "model/training/trainer.h"

namespace stepscope {

Evaluation::Evaluation(ModelSettings model, const TrainingSettings& training, const StepRecipe& recipe,
                       const Machine& machine, const DataSource& source)
    : source_(source) {
  model.dropout = 0;
  Builder builder(recipe.compute, recipe.master);
  builder.set_batch(training.global_batch, training.sequence, static_cast<int>(recipe.micro_steps));
  step_.program = build_transformer(std::move(builder), model);
  lower(step_.program, machine);
  verify(step_.program);
  step_.plan = plan_memory(step_.program);
  verify(step_.program, step_.plan);
  executor_ = std::make_unique<CpuExecutor>(step_.program, step_.plan, machine);
}

double Evaluation::loss(const Program& trained, const Executor& parameters, std::int64_t batches) {
  copy_parameters(trained, parameters);
  double sum = 0, count = 0;
  Batch batch;
  for (std::int64_t i = 0; i < std::min(batches, source_.validation_batches()); ++i) {
    source_.fill_validation(i, batch);
    write_batch(step_.program, *executor_, batch);
    executor_->step(0);
    sum += executor_->control().loss_sum;
    count += executor_->control().token_count;
  }
  return sum / count;
}

std::int64_t Evaluation::bytes() const { return state_bytes(step_.program).total() + step_.plan.arena_bytes; }

void Evaluation::copy_parameters(const Program& trained, const Executor& from) {
  std::vector<std::byte> bytes;
  for (const StateId id : step_.program.states_of(StateKind::parameter)) {
    const State& state = step_.program.state(id);
    bytes.resize(static_cast<std::size_t>(state.type.size_bytes()));
    from.read(trained.find_state(state.name), bytes);
    executor_->write(id, bytes);
  }
}

}  // namespace stepscope
