// From settings to a step that can run: layers, differentiation with the recipe's keep-set, update, lowering, plan, checks.
//     StepRecipe recipe;  for (const Technique& t : techniques()) t.apply(...);
//     const Step step = build_step(model, training, recipe, machine);
//     const auto executor = make_executor(step.program, step.plan, machine);
#pragma once

#include <optional>
#include <string>

#include "model/layers/model_settings.h"
#include "model/program/builder.h"
#include "model/program/cost.h"
#include "model/program/memory_plan.h"
#include "model/program/program.h"
#include "model/techniques/list.h"
#include "model/training/training_settings.h"

namespace stepscope {

// What a byte budget came to (budget.h).
struct BudgetChoice {
  std::int64_t limit_bytes = 0;  // that states and arena may take
  std::int64_t logits_chunks = 1;
  std::string times_of = {};  // whose speeds made one choice faster than another
  StepRecipe recipe = {};  // with the chosen keep-set; the smallest there is where none fits
};

struct Step {
  Program program;
  MemoryPlan plan;
  std::optional<BudgetChoice> budget = {};  // of a recipe with a budget
};

// An empty forward pass of the recipe's types and pieces. Throws UsageError for more logits_chunks than tokens at once.
[[nodiscard]] Builder builder_of(const StepRecipe& recipe, std::int64_t rows, std::int64_t sequence,
                                 std::int64_t micro_steps);

// Steps of one forward pass with different keep-sets, planned and not verified: for those who try many. Settings must be resolved; a
// constructor's throws are build_step's.
class StepPlanner {
 public:
  StepPlanner(const ModelSettings& model, const TrainingSettings& training, StepRecipe recipe, const Machine& machine,
              const Shape& custom_mask_shape = {});
  [[nodiscard]] const Program& forward() const { return forward_; }
  [[nodiscard]] std::int64_t logits_chunks() const { return recipe_.logits_chunks; }
  // What the recipe sends to host memory of what is kept.
  [[nodiscard]] KeepSet sent_to_host(const KeepSet& keep) const;
  [[nodiscard]] Program lowered(const KeepSet& keep) const;  // forward, backward and update, not planned
  // With the operations of another keep-set's step (fused, model/operations/lowering.h), for comparison with it; all on the device.
  [[nodiscard]] Program lowered_as(const KeepSet& fused_for, const KeepSet& keep) const;
  // With the forward pass as it is, operation by operation, for those who count on it; all on the device.
  [[nodiscard]] Program lowered_apart(const KeepSet& keep) const;
  [[nodiscard]] Step planned(const KeepSet& keep) const;
  // With other values in host memory than the recipe says.
  [[nodiscard]] Program lowered(const KeepSet& keep, const KeepSet& on_host) const;
  [[nodiscard]] Step planned(const KeepSet& keep, const KeepSet& on_host) const;

 private:
  [[nodiscard]] Program finished(Program forward, const KeepSet& keep, const KeepSet& on_host) const;

  TrainingSettings training_;
  StepRecipe recipe_;
  Machine machine_;
  Program forward_;
};

// Settings must be resolved. Throws UsageError where they do not fit each other: sequence above max_sequence, a
// global_batch that micro_steps do not divide (a remainder is refused, never dropped). Throws Unsupported for tf32 and eager where the
// machine has none. A budget that nothing fits is no error: its step is the smallest there is, for the caller to compare.
[[nodiscard]] Step build_step(const ModelSettings& model, const TrainingSettings& training, const StepRecipe& recipe,
                              const Machine& machine, const Shape& custom_mask_shape = {});

}  // namespace stepscope
