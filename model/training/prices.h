// What not keeping an activation is worth: the bytes by which the arena falls against the time that making it again adds.
//     const Prices prices = checkpointing_prices(model, training, recipe, machine, mask, {.ceilings = card});
//     prices.rows.front();                         // the cheapest ms a GiB
// Beside it the price of keeping it in host memory instead, where machine.rates knows the rate of the link.
// Every target of checkpointing and every value that backward reads is taken away alone, from a step that keeps everything else, and
// planned again: nothing is estimated but time, which is a model's: a card's roofline, or what a machine's operations took. Times and
// bytes are of one optimizer step.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/program/time_model.h"
#include "model/training/step_program.h"

namespace stepscope {

struct OffloadPrice {  // of sending values to host memory in place of making them again
  std::int64_t freed_bytes = 0;  // by which the device's arena falls
  std::int64_t host_bytes = 0;  // of the arena there
  double added_ns = 0;  // a step: the wait that no window hides
  [[nodiscard]] double ns_per_gib() const;
};

struct Price {
  std::string target;  // "MLPBlock", "gelu", or a value of all blocks: "blocks.*.mlp.up u"
  std::vector<ValueId> dropped;  // forward values
  std::int64_t value_bytes = 0;  // of those values, in one micro-step
  std::int64_t freed_bytes = 0;  // by which the arena falls; 0 or below: nothing is won
  double added_ns = 0;  // a step
  std::string dominated_by = {};  // a target that frees no less and adds no more
  std::optional<OffloadPrice> offload = {};  // of `sent`, on a machine whose link to host memory is known
  std::vector<ValueId> sent = {};  // forward values that backward reads and that are made there
  [[nodiscard]] double ns_per_gib() const;  // infinite where nothing is freed
};

struct Prices {
  std::int64_t arena_bytes = 0;  // of the step that keeps everything
  double step_ns = 0;
  std::vector<Price> rows;  // by price, then by what they free
};

// Whatever recipe.keep says: prices are against keeping everything. Throws as build_step does.
[[nodiscard]] Prices checkpointing_prices(const ModelSettings& model, const TrainingSettings& training,
                                          StepRecipe recipe, const Machine& machine, const Shape& custom_mask_shape,
                                          const TimeModel& times);

}  // namespace stepscope
