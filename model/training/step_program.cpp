#include "model/training/step_program.h"

#include <fmt/format.h>

#include "model/base/error.h"
#include "model/layers/transformer.h"
#include "model/operations/adam/adam.h"
#include "model/operations/gradient_norm/gradient_norm.h"
#include "model/operations/lowering.h"
#include "model/program/gradient.h"
#include "model/program/verify.h"

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

// Parameters of one block are updated by one operation, at the block's site.
SiteId owner_of(const Program& program, SiteId site) {
  const SiteId parent = program.site(site).parent;
  return parent.index <= 0 || program.site(site).layer_class == "MLPBlock" ||
                 program.site(site).layer_class == "AttentionBlock"
             ? site
             : owner_of(program, parent);
}

void append_adam(Program& program) {
  const std::vector<StateId> parameters = program.states_of(StateKind::parameter);
  const Attributes adam{.epsilon = 1e-8, .beta1 = 0.9, .beta2 = 0.999};
  SiteId group;
  for (const StateId id : parameters) {
    const State parameter = program.state(id);
    std::vector<Write> writes{{id, Accumulate::no}};
    for (const char* moment : {"moment1.", "moment2."}) {
      program.states.push_back({moment + parameter.name, parameter.type, StateKind::moment, parameter.site, id, {}});
      writes.push_back({{static_cast<int>(program.states.size()) - 1}, Accumulate::no});
    }
    const SiteId owner = owner_of(program, parameter.site);
    if (owner != group) {
      if (group.index >= 0) program.operations.back().ins.push_back(whole(program, program.results));
      program.operations.push_back(update_operation(adam_kind, adam, owner));
      program.operations.back().ins.push_back(whole(program, program.control));
      group = owner;
    }
    Operation& op = program.operations.back();
    op.ins.push_back(whole(program, program.belonging_to(id, StateKind::gradient)));
    op.writes.insert(op.writes.end(), writes.begin(), writes.end());
  }
  program.operations.back().ins.push_back(whole(program, program.results));
}

// Forward, backward and update; lowered, not yet planned.
Program whole_step(const Program& forward, const KeepSet& keep, const TrainingSettings& training,
                   const Machine& machine) {
  Program program = differentiate(forward, keep);
  if (training.clip > 0) append_gradient_norm(program, training.clip);
  append_adam(program);
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
