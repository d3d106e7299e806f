// Law: a residual stream in fp32 beside narrow branches: the stream takes four bytes and is no longer rounded, so that results come
// nearer to those of fp32; in fp32 it changes nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "model/base/tolerance.h"
#include "model/execution/cpu_executor.h"
#include "model/techniques/checkpointing.h"
#include "tests/support/programs.h"
#include "tests/support/step_run.h"

namespace stepscope::testing {
namespace {

StepSetting setting_of(const char* preset, const char* precision, const char* residual, double dropout = 0.1) {
  StepSetting setting{.preset = preset,
                      .precision = precision,
                      .micro_steps = 2,
                      .threads = 2,
                      .unequal_lengths = true,
                      .change_model = [=](ModelSettings& m) { m.dropout = dropout; }};
  setting.residual_precision = residual;
  return setting;
}

constexpr const char* presets[] = {"tiny", "gpt2-tiny", "llama-tiny", "qwen3-tiny"};

TEST(ResidualPrecisionLaw, changes_nothing_in_fp32) {
  for (const char* preset : presets)
    EXPECT_THAT(bitwise_differences(run_step_of(setting_of(preset, "fp32", "fp32")),
                                    run_step_of(setting_of(preset, "fp32", "compute"))),
                ::testing::IsEmpty());
}

TEST(ResidualPrecisionLaw, brings_results_nearer_to_fp32) {
  for (const char* preset : presets)
    for (const char* precision : {"bf16", "fp16"})
      for (const double dropout : {0.0, 0.1}) {
        const StepResult exact = run_step_of(setting_of(preset, "fp32", "compute", dropout));
        const double narrow = gradient_error(run_step_of(setting_of(preset, precision, "compute", dropout)), exact),
                     wide = gradient_error(run_step_of(setting_of(preset, precision, "fp32", dropout)), exact);
        EXPECT_LT(wide, narrow) << preset << precision << dropout;
        EXPECT_GT(wide, tolerance(DType::fp32).relative) << preset << precision << dropout;
      }
}

TEST(ResidualPrecisionLaw, any_keep_set_and_any_threads_give_the_same_bits) {
  std::mt19937 random(5);
  for (const char* preset : presets)
    for (const char* precision : {"bf16", "fp16"}) {
      StepSetting setting = setting_of(preset, precision, "fp32");
      const StepResult kept = run_step_of(setting);
      for (int trial = 0; trial < 4; ++trial) {
        setting.threads = 1 + trial;
        setting.keep = [&](const Program& forward) { return random_keep(forward, random); };
        EXPECT_THAT(bitwise_differences(run_step_of(setting), kept), ::testing::IsEmpty()) << preset << precision;
      }
    }
}

TEST(ResidualPrecisionLaw, the_stream_is_wide_the_branches_are_not_and_bytes_are_used_as_planned) {
  for (const char* preset : presets)
    for (const std::vector<std::string>& targets : std::vector<std::vector<std::string>>{{}, {"TransformerBlock"}}) {
      StepSetting setting = setting_of(preset, "bf16", "fp32");
      setting.keep = [&](const Program& forward) { return keep_outside(forward, targets); };
      const Step step = build(setting, machine_with(2));
      for (const Operation& op : step.program.operations) {
        if (op.phase != Phase::forward || op.outs.empty()) continue;
        const DType made = step.program.value(op.outs[0]).type.dtype;
        const std::string_view kind = op.kind->name;
        const bool stream = kind == "dropout_add" || kind == "embedding",
                   inside = kind == "attention" || kind.ends_with("_norm");
        EXPECT_TRUE(!stream || made == DType::fp32) << kind;
        EXPECT_TRUE(!inside || made == DType::bf16) << kind;
      }
      CpuExecutor executor(step.program, step.plan, machine_with(2));
      executor.initialise(setting.seed);
      fill_batch(setting, step.program, executor);
      const Executor::UsedBytes used = executor.measure_used_bytes(1e-3);
      EXPECT_THAT(used.differences, ::testing::IsEmpty()) << preset;
      EXPECT_EQ(used.arena, step.plan.arena_bytes) << preset;
      EXPECT_EQ(used.largest_live, step.plan.largest_live_bytes) << preset;
    }
}

}  // namespace
}  // namespace stepscope::testing
