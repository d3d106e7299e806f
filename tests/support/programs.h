// Programs to test with: presets' steps without update or lowering, and random ones.
#pragma once

#include <cstdint>
#include <random>
#include <string>

#include "model/layers/model_settings.h"
#include "model/program/gradient.h"
#include "model/program/program.h"
#include "model/techniques/list.h"

namespace stepscope::testing {

struct StepCase {
  std::string preset = "tiny";
  std::string precision = "fp32";
  Choice checkpointing = std::string("none");
  std::int64_t accumulation = 1;
  std::string attention = "fused";
};

Program forward_of(const StepCase& c);
Program step_of(const StepCase& c);  // forward and backward under the case's keep-set

// Layers in random order and number, values read once or several times, odd sizes; ends in a cross-entropy.
Program random_forward(std::mt19937& random);
KeepSet random_keep(const Program& forward, std::mt19937& random);

}  // namespace stepscope::testing
