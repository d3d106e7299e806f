#include "model/training/step_program.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "model/base/error.h"
#include "model/layers/transformer.h"
#include "model/operations/attention/attention.h"
#include "model/operations/attention/attention_library.h"
#include "model/operations/gradient_norm/gradient_norm.h"
#include "model/operations/loss_scaling/loss_scaling.h"
#include "model/operations/lowering.h"
#include "model/program/copy.h"
#include "model/program/copy_schedule.h"
#include "model/program/gradient.h"
#include "model/program/verify.h"
#include "model/techniques/offload.h"
#include "model/training/budget.h"
#include "model/training/optimizer.h"

namespace stepscope {

namespace {

Operation update_operation(const OperationKind& kind, const Attributes& attributes, SiteId site) {
  return {.kind = &kind, .attributes = attributes, .site = site, .phase = Phase::update, .section = Section::update};
}

SiteId update_site(Program& program) {
  program.sites.push_back({"update", "Update", {0}});
  return {static_cast<int>(program.sites.size()) - 1};
}

void append_gradient_norm(Program& program, double clip) {
  Operation op = update_operation(gradient_norm_kind, {.clip = clip}, update_site(program));
  op.ins.push_back(whole(program, program.control));
  for (const StateId gradient : program.states_of(StateKind::gradient)) op.ins.push_back(whole(program, gradient));
  op.writes.push_back({program.results, Accumulate::no});
  program.operations.push_back(std::move(op));
}

// The update between the two operations of loss scaling.
void append_scaled_update(Program& program, const TrainingSettings& training) {
  const SiteId site = update_site(program);
  Operation unscale = update_operation(unscale_gradients_kind, {.clip = training.clip}, site);
  unscale.ins.push_back(whole(program, program.results));
  unscale.writes.push_back({program.results, Accumulate::no});
  for (const StateId gradient : program.states_of(StateKind::gradient))
    unscale.writes.push_back({gradient, Accumulate::no});
  program.operations.push_back(std::move(unscale));
  append_update(program, training, {.skips_overflow = true});
  Operation scale =
      update_operation(update_loss_scale_kind, {.growth_interval = training.loss_scale_growth_interval}, site);
  scale.ins.push_back(whole(program, program.results));
  scale.writes.push_back({program.results, Accumulate::no});
  program.operations.push_back(std::move(scale));
  program.initial_loss_scale = training.loss_scale;
}

void append_whole_update(Program& program, const TrainingSettings& training, bool scales_loss) {
  if (scales_loss) return append_scaled_update(program, training);
  if (training.clip > 0) append_gradient_norm(program, training.clip);
  append_update(program, training);
}

// Part of the operations from here on: gradients and repeats are the library's too.
void leave_attention_to_library(Program& forward) {
  bool any = false;
  for (Operation& op : forward.operations) {
    if (op.kind != &attention_kind) continue;
    if (const std::string why = why_not_by_library(forward, op); !why.empty())
      throw Unsupported("attention_kernel = cudnn: " + why);
    op.attributes.algorithm = library_algorithm;
    any = true;
  }
  if (!any)
    throw Unsupported("attention_kernel = cudnn: the model's attention is materialised, only a fused one has it");
}

Program forward_of(const ModelSettings& model, const TrainingSettings& training, const StepRecipe& recipe,
                   const Machine& machine, const Shape& custom_mask_shape) {
  if (training.global_batch < 1 || training.global_batch % recipe.micro_steps != 0)
    throw UsageError(fmt::format("training.global_batch = {}: must be a multiple of accumulation = {}",
                                 training.global_batch, recipe.micro_steps));
  if (recipe.tf32 && !machine.tf32)
    throw Unsupported("precision = tf32: only a GPU's tensor cores multiply fp32 so, and this is a CPU");
  if (recipe.eager && machine.kind == Machine::Kind::cpu)
    throw Unsupported("launch = eager: work is launched on cards, and this is a CPU");
  if (machine.kind == Machine::Kind::cuda && recipe.gradient == DType::bf16 && recipe.compute == DType::fp32)
    throw Unsupported("gradient_precision = bf16: a card's matmuls of fp32 give fp32; it needs precision = bf16");
  if (recipe.library_attention && machine.kind == Machine::Kind::cpu)
    throw Unsupported("attention_kernel = cudnn: NVIDIA's library runs on cards, and this is a CPU");
  const std::int64_t sequence = training.sequence == 0 ? model.max_sequence : training.sequence;
  Program forward = build_transformer(builder_of(recipe, training.global_batch, sequence, recipe.micro_steps), model,
                                      custom_mask_shape);
  if (recipe.library_attention) leave_attention_to_library(forward);
  return forward;
}

}  // namespace

Builder builder_of(const StepRecipe& recipe, std::int64_t rows, std::int64_t sequence, std::int64_t micro_steps) {
  const std::int64_t rows_at_once = rows / micro_steps * sequence;
  if (recipe.logits_chunks > rows_at_once)
    throw UsageError(fmt::format("logits_chunks = {}: must be at most {}, the tokens of a micro-step",
                                 recipe.logits_chunks, rows_at_once));
  Builder builder(recipe.compute, recipe.master);
  builder.set_batch(rows, sequence, static_cast<int>(micro_steps));
  if (recipe.wide_residual) builder.set_residual(recipe.master);
  builder.set_row_pieces(std::max<std::int64_t>(1, recipe.logits_chunks));  // 0: left to a budget
  return builder;
}

StepPlanner::StepPlanner(const ModelSettings& model, const TrainingSettings& training, StepRecipe recipe,
                         const Machine& machine, const Shape& custom_mask_shape)
    : training_(training),
      recipe_(std::move(recipe)),
      machine_(machine),
      forward_(forward_of(model, training, recipe_, machine, custom_mask_shape)) {}

KeepSet StepPlanner::sent_to_host(const KeepSet& keep) const {
  return offloaded_values(forward_, keep, recipe_.offload);
}

Program StepPlanner::lowered(const KeepSet& keep) const { return lowered(keep, sent_to_host(keep)); }

Step StepPlanner::planned(const KeepSet& keep) const { return planned(keep, sent_to_host(keep)); }

Program StepPlanner::lowered(const KeepSet& keep, const KeepSet& on_host) const {
  return finished(fused(forward_, machine_, keep), keep, on_host);
}

Program StepPlanner::lowered_as(const KeepSet& fused_for, const KeepSet& keep) const {
  return finished(fused(forward_, machine_, fused_for), keep, {});
}

Program StepPlanner::lowered_apart(const KeepSet& keep) const { return finished(forward_, keep, {}); }

Program StepPlanner::finished(Program forward, const KeepSet& keep, const KeepSet& on_host) const {
  const OffloadChoice& offload = recipe_.offload;
  send_to_host(forward, on_host);
  Program program = differentiate(forward, keep, recipe_.gradient);
  program.tf32 = recipe_.tf32;
  append_whole_update(program, training_, recipe_.scales_loss);
  offload_states(program, offload);
  lower(program, machine_);
  // A CPU has one memory, so that copies there run beside nothing.
  if ((offload.any() || !on_host.empty()) &&
      (machine_.kind == Machine::Kind::cuda || machine_.rates.host_bandwidth > 0))
    schedule_copies(program, roofline_times(program, machine_.rates),
                    {.bandwidth = machine_.rates.host_bandwidth, .in_flight = offload.in_flight});
  return program;
}

Step StepPlanner::planned(const KeepSet& keep, const KeepSet& on_host) const {
  Step step{lowered(keep, on_host), {}, {}};
  step.plan = plan_memory(step.program);
  return step;
}

Step build_step(const ModelSettings& model, const TrainingSettings& training, const StepRecipe& recipe,
                const Machine& machine, const Shape& custom_mask_shape) {
  if (recipe.budget) {
    if (!recipe.offload.targets.empty() && machine.rates.host_bandwidth <= 0)
      throw UsageError(
          fmt::format("offload = activations:{}: beside checkpointing = budget it needs a card whose link's rate is "
                      "known (host_bandwidth, devices --cards)",
                      recipe.offload.targets.front()));
    BudgetChoice choice = BudgetFrontier(model, training, recipe, machine, custom_mask_shape).choose(*recipe.budget);
    Step step = build_step(model, training, choice.recipe, machine, custom_mask_shape);
    step.budget = std::move(choice);
    return step;
  }
  if (recipe.logits_chunks == 0)
    throw UsageError("logits_chunks = auto: needs checkpointing = \"budget:...\", which chooses them");
  const StepPlanner planner(model, training, recipe, machine, custom_mask_shape);
  const KeepSet everything = keepable(planner.forward()), keep = recipe.keep(planner.forward());
  Step step{planner.lowered(keep), {}, {}};
  if (keep == everything && !recipe.offload.any()) {
    verify(step.program);
  } else {
    StepRecipe plain = recipe;
    plain.offload = {};
    const StateHistories histories =
        state_histories(StepPlanner(model, training, plain, machine, custom_mask_shape).lowered_as(keep, everything));
    verify(step.program, &histories);
  }
  step.plan = plan_memory(step.program);
  verify(step.program, step.plan);
  return step;
}

}  // namespace stepscope
