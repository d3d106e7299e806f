#include "model/training/step_program.h"

#include <fmt/format.h>

#include "model/base/error.h"
#include "model/layers/transformer.h"
#include "model/operations/gradient_norm/gradient_norm.h"
#include "model/operations/lowering.h"
#include "model/program/gradient.h"
#include "model/program/verify.h"
#include "model/training/optimizer.h"

namespace stepscope {

namespace {

Operation update_operation(const OperationKind& kind, const Attributes& attributes, SiteId site) {
  return {.kind = &kind, .attributes = attributes, .site = site, .phase = Phase::update, .section = Section::update};
}

void append_gradient_norm(Program& program, double clip) {
  Operation op = update_operation(gradient_norm_kind, {.clip = clip}, program.operations.back().site);
  op.ins.push_back(whole(program, program.control));
  for (const StateId gradient : program.states_of(StateKind::gradient)) op.ins.push_back(whole(program, gradient));
  op.writes.push_back({program.results, Accumulate::no});
  program.sites.push_back({"update", "Update", {0}});
  op.site = {static_cast<int>(program.sites.size()) - 1};
  program.operations.push_back(std::move(op));
}

// Forward, backward and update; lowered, not yet planned.
Program whole_step(const Program& forward, const KeepSet& keep, const TrainingSettings& training,
                   const Machine& machine) {
  Program program = differentiate(forward, keep);
  if (training.clip > 0) append_gradient_norm(program, training.clip);
  append_update(program, training);
  lower(program, machine);
  return program;
}

}  // namespace

Step build_step(const ModelSettings& model, const TrainingSettings& training, const StepRecipe& recipe,
                const Machine& machine, const Shape& custom_mask_shape) {
  if (training.global_batch < 1 || training.global_batch % recipe.micro_steps != 0)
    throw UsageError(fmt::format("training.global_batch = {}: must be a multiple of accumulation = {}",
                                 training.global_batch, recipe.micro_steps));
  Builder builder(recipe.compute, recipe.master);
  const std::int64_t sequence = training.sequence == 0 ? model.max_sequence : training.sequence;
  builder.set_batch(training.global_batch, sequence, static_cast<int>(recipe.micro_steps));
  const Program forward = build_transformer(std::move(builder), model, custom_mask_shape);

  const KeepSet everything = keepable(forward), keep = recipe.keep(forward);
  Step step{whole_step(forward, keep, training, machine), {}};
  if (keep == everything) {
    verify(step.program);
  } else {
    const StateHistories histories = state_histories(whole_step(forward, everything, training, machine));
    verify(step.program, &histories);
  }
  step.plan = plan_memory(step.program);
  verify(step.program, step.plan);
  return step;
}

}  // namespace stepscope
