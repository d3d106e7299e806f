// What updates the parameters: a row an optimizer. All of them today are settings of one operation, adam.
//     append_update(program, training);                       // moments as states, an operation for every block's parameters
// adam    beta1, beta2, epsilon 1e-8, no weight decay
// adamw   the same, and matrices of Dense layers shrink by learning_rate weight_decay a step, apart from their gradient.
//         Norms, biases, positions and the embedding do not decay, nor does an embedding that is the head's weight as well.
//         (nanoGPT differs: it decays every tensor of two axes, the embedding and positions included.)
// Source: Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm 2.
#pragma once

#include <span>
#include <string_view>

#include "model/program/program.h"
#include "model/training/training_settings.h"

namespace stepscope {

struct Optimizer {
  std::string_view name;
  std::string_view about;  // for help
  bool decays;  // uses weight_decay
};

[[nodiscard]] std::span<const Optimizer> optimizers();
[[nodiscard]] const Optimizer& optimizer_named(std::string_view name);  // throws UsageError that lists the names

struct UpdateOptions {
  bool skips_overflow = false;  // nothing moves in a step whose gradients are not finite
};

// Adds the moments of every parameter, and the update section's operations that move parameters. Gradients must exist.
void append_update(Program& program, const TrainingSettings& training, const UpdateOptions& options = {});

}  // namespace stepscope
