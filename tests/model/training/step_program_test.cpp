// A whole step is built, checked and planned fast enough to plan a matrix of the largest model while one waits.
#include "model/training/step_program.h"

#include <gtest/gtest.h>

#include <ctime>
#include <map>

#include "model/techniques/checkpointing.h"
#include "tests/support/build_folder.h"
#include "tests/support/step_run.h"

namespace stepscope::testing {
namespace {

const double limit_seconds = is_sanitized() ? 20 : 1;

TEST(StepProgram, has_as_many_parameters_as_the_settings_say) {
  for (const Preset& preset : presets()) {
    const ModelSettings model = resolved(preset.model);
    const Step step = build({.preset = std::string(preset.name), .sequence = 8}, machine_with(1));
    EXPECT_EQ(step.program.parameter_count(), parameter_count(model)) << preset.name;
  }
}

TEST(StepProgram, of_the_largest_preset_takes_less_than_a_second_and_its_arena_is_within_a_percent_of_the_least) {
  const auto blocks = [](const Program& forward) { return keep_outside(forward, {"TransformerBlock"}); };
  for (const auto& [preset, parameters] :
       std::map<std::string, std::int64_t>{{"gpt2-1558m", 1'557'611'200}, {"llama-3.1-8b", 8'030'261'248}})
    for (const char* precision : {"fp32", "bf16"})
      for (const bool recomputed : {false, true})
        for (const std::int64_t micro_steps : {1, 8}) {
          StepSetting setting{.preset = preset, .precision = precision, .micro_steps = micro_steps, .sequence = 1024};
          if (recomputed) setting.keep = blocks;
          const std::clock_t begin = std::clock();  // of this process: others on the machine do not count
          const Step step = build(setting, machine_with(2));
          const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
          EXPECT_LT(seconds, limit_seconds) << precision << " " << recomputed << " x" << micro_steps;
          EXPECT_EQ(step.program.parameter_count(), parameters);
          EXPECT_LE(step.plan.fragmentation_bytes(), step.plan.largest_sum_bytes / 100);
        }
}

}  // namespace
}  // namespace stepscope::testing
