// Which activations to keep under a byte budget, and in how many chunks to compute the logits where that is open too.
//     const BudgetFrontier frontier(model, training, recipe, machine);
//     const BudgetChoice choice = frontier.choose({.of = MemoryBudget::Of::bytes, .bytes = 6 << 30});     // choice.recipe builds its step
// A budget is for all that the process has on the device: states, arena, and what the device takes before the first allocation. The
// choice is the fastest member of the frontier whose real plan fits, so that a larger budget never gives a slower step, and no preset
// of checkpointing that fits is faster. Where `offload` names activations, each of those that are kept may wait in host memory instead, at
// the wait that the link's rate asks for.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "model/training/step_program.h"

namespace stepscope {

struct FrontierMember {
  std::string name = {};  // of a value of `checkpointing`: "MLPBlock+AttentionBlock"; "" where only a budget finds it
  KeepSet keep = {};
  KeepSet on_host = {};  // of what is kept: values that wait in host memory
  std::int64_t logits_chunks = 1;
  std::int64_t peak_bytes =
      0;  // states and the largest sum of live bytes: what its plan takes, but for what placing it wastes
  double step_ns = 0;  // of the optimizer step, by machine.rates
  double repeated_ns = 0;  // the part of it that is run again
  double wait_ns = 0;  // the part of it that waits for copies from and to host memory
  std::string dominated_by = {};  // of a named one that is not on the frontier: what needs no more bytes and is as fast
};

class BudgetFrontier {
 public:
  // recipe.keep is set aside. recipe.logits_chunks 0: the chunks are chosen too. Throws as StepPlanner does.
  BudgetFrontier(const ModelSettings& model, const TrainingSettings& training, StepRecipe recipe,
                 const Machine& machine, const Shape& custom_mask_shape = {});

  BudgetFrontier(const BudgetFrontier&) = delete;  // planned peaks are remembered by a member's address
  BudgetFrontier(BudgetFrontier&&) = default;
  BudgetFrontier& operator=(const BudgetFrontier&) = delete;

  [[nodiscard]] const std::vector<FrontierMember>& members() const { return members_; }  // by time, the fastest first
  [[nodiscard]] const std::vector<FrontierMember>& dominated() const { return dominated_; }  // named ones
  [[nodiscard]] std::string value_of(
      const FrontierMember& member) const;  // of `checkpointing`: "MLPBlock", "budget:2048MiB"
  [[nodiscard]] std::int64_t planned_peak(
      const FrontierMember& member) const;  // states and arena of its real plan; a member's own address
  [[nodiscard]] std::int64_t limit_bytes(const MemoryBudget& budget) const;  // for states and arena
  [[nodiscard]] BudgetChoice choose(const MemoryBudget& budget) const;
  [[nodiscard]] StepRecipe recipe_of(const FrontierMember& member) const;

 private:
  void add_members(const StepPlanner& planner);
  void add_offloaded(const StepPlanner& planner, std::size_t first);  // beside the members from `first` on
  void keep_the_best();

  StepRecipe recipe_;
  Machine machine_;
  std::int64_t spread_bytes_ = 0;  // between the member of the most and that of the least
  std::map<std::int64_t, std::shared_ptr<const StepPlanner>> planners_;  // by logits_chunks
  std::vector<FrontierMember> members_, dominated_;
  mutable std::map<const FrontierMember*, std::int64_t> planned_peaks_;
};

}  // namespace stepscope
