// The cards of this machine, as Machines to lower programs to. Plain C++: a build without CUDA has it too (no_machine.cpp).
//     lower(program, this_card());              // throws Unsupported: no CUDA in this build, no driver, no library, no such card
#pragma once

#include <cstdint>
#include <string>

#include "model/program/cost.h"

namespace stepscope {

// Card number `card` as CUDA counts them. Makes CUDA's context on it, and counts what the card then has taken as context_bytes.
[[nodiscard]] Machine this_card(int card = 0);

struct CardToSimulate {
  Card card;
  std::string title;  // as people call it
  int multiprocessors = 1;
  bool computes = true;  // false: kernels are costed, not computed
  std::string device;  // as --device named it
};
// The card that this process then plays: one for good. Throws Unsupported in every program but those of the tests.
[[nodiscard]] Machine simulated_card(const CardToSimulate& card);
// What a tuning of matmuls holds for (model/cuda/matmul_tuning.h).
struct CardIdentity {
  std::string card;  // its UUID: "GPU-5a6b..."
  std::int64_t matmul_library = 0;  // cuBLASLt's version
};
[[nodiscard]] CardIdentity identity_of_card(int card);  // throws as this_card does

}  // namespace stepscope
