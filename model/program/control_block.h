// The scalars that change from step to step. They are the content of two states: `control`, all that an executor hands
// to a program besides the batch, and `results`, what operations write. Operations declare which of the two they touch.
#pragma once

#include <cstddef>
#include <cstdint>

namespace stepscope {

struct ControlBlock {
  // `control`: set by the executor, only read by operations.
  std::int64_t step = 0;  // attempted steps so far, 0 for the first: keys random numbers
  std::uint64_t seed = 0;
  double learning_rate = 0;
  std::int64_t micro_step = 0;  // 0 .. micro_steps - 1
  // `results`: written by operations.
  alignas(256) double token_count = 0;  // targets that count in the whole step: count_tokens, in the prologue
  double loss_sum = 0;  // sum of token losses in the step so far: cross_entropy
  double gradient_norm = 0;  // before clipping: gradient_norm
  double clip_factor = 1;  // what every gradient is multiplied by in the update: gradient_norm
  // Of loss scaling; without it the scale is 1 and no step is skipped.
  double loss_scale = 1;  // what the gradient of the loss is multiplied by at its source
  std::int64_t clean_steps = 0;  // since the scale was last changed
  std::int64_t found_inf = 0;  // 1: a gradient of this step is infinite or no number, nothing was updated
  std::int64_t skips = 0;  // steps so far that updated nothing

  // Applied updates so far: Adam's bias correction uses updates() + 1.
  [[nodiscard]] constexpr std::int64_t updates() const { return step - skips; }
};
inline constexpr std::int64_t control_bytes = 256;  // of the state `control`
inline constexpr std::int64_t results_bytes = sizeof(ControlBlock) - control_bytes;  // of the state `results`
static_assert(offsetof(ControlBlock, token_count) == control_bytes);

}  // namespace stepscope
