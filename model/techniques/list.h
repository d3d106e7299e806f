// The techniques, one row each. A technique turns its choice into a change of the recipe from which a step is built;
// layers and executors never hear of it. Its "off" choice leaves the recipe as it was.
//     StepRecipe recipe;
//     for (const Technique& t : techniques()) t.apply(choice_of(t.name), recipe);   // UsageError: "precision = fp8: must be ..."
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/program/gradient.h"
#include "model/techniques/choice.h"

namespace stepscope {

// How many bytes the process may take on its device (budget of checkpointing).
struct MemoryBudget {
  enum class Of { bytes, share, device } of = Of::device;
  std::int64_t bytes = 0;  // of bytes
  double share = 1;  // of share: of the arena of a step that keeps everything, beside its states
};

// What lies in host memory between its uses.
struct OffloadChoice {
  std::vector<std::string> targets = {};  // of checkpointing: what they make and what is kept of it
  KeepSet values = {};  // forward values that a budget chose, beside them
  bool moments = false, masters = false;  // of the optimizer; parameters that matmuls read as narrower copies alone
  std::optional<int> in_flight =
      {};  // copies on their way at once, by direction (program/copy_schedule.h); none: by the link's rate
  [[nodiscard]] bool any() const { return !targets.empty() || !values.empty() || moments || masters; }
};

struct StepRecipe {
  DType compute = DType::fp32;  // precision: type of activations and of multiplied parameters
  bool tf32 = false;  // precision: fp32 whose matmuls round their operands to tf32
  bool scales_loss = false;  // precision: dynamic loss scaling
  DType master = DType::fp32;  // parameters, gradients, moments; fp64 in tests
  bool wide_residual = false;  // residual_precision: the residual stream is of the master's type
  std::optional<DType> gradient = {};  // gradient_precision: type of the gradients of matrices; none: the master's
  std::function<KeepSet(const Program& forward)> keep = keepable;  // checkpointing: which activations stay
  std::optional<MemoryBudget> budget = {};  // checkpointing: instead of keep, chosen so that it fits
  std::int64_t micro_steps = 1;  // accumulation
  bool library_attention = false;  // attention_kernel: fused attention by the library of the card's maker
  OffloadChoice offload = {};
  bool eager = false;  // launch: operation by operation instead of as graphs
  std::int64_t logits_chunks =
      1;  // logits_chunks: pieces of the rows in which head and loss are computed; 0: as many as the budget asks for
};

struct Technique {
  std::string_view name;  // the field: "precision"
  Choice off;
  std::string_view values;  // for help and errors: "fp32, bf16 or fp16"
  void (*apply)(const Choice& choice, StepRecipe& recipe);  // throws UsageError: NAME = VALUE: what would be right
  bool unseen_when_off = false;  // of some machines alone: off, it stands in no id, record or file
};

[[nodiscard]] std::span<const Technique> techniques();

}  // namespace stepscope
