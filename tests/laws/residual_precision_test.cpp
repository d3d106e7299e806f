// Law: a residual stream in fp32 beside narrow branches: the stream takes four bytes and is no longer rounded, so that results come
// nearer to those of fp32; in fp32 it changes nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "model/base/tolerance.h"
#include "model/execution/cpu_executor.h"
#include "model/techniques/checkpointing.h"
#include "tests/support/families.h"
#include "tests/support/programs.h"

namespace stepscope::testing {
namespace {

StepResult run_with(StepSetting setting, const char* residual) {
  setting.residual_precision = residual;
  return run_step_of(setting);
}

constexpr const char* narrow_precisions[] = {"bf16", "fp16"};

TEST(ResidualPrecisionLaw, changes_nothing_in_fp32) {
  constexpr const char* in_fp32[] = {"fp32"};
  for (const StepSetting& setting : small_steps(in_fp32))
    EXPECT_THAT(bitwise_differences(run_with(setting, "fp32"), run_with(setting, "compute")), ::testing::IsEmpty())
        << setting.name;
}

TEST(ResidualPrecisionLaw, brings_results_nearer_to_fp32) {
  for (const StepSetting& setting : small_steps(narrow_precisions)) {
    StepSetting in_fp32 = setting;
    in_fp32.precision = "fp32";
    const StepResult exact = run_step_of(in_fp32);
    const double narrow = gradient_error(run_with(setting, "compute"), exact),
                 wide = gradient_error(run_with(setting, "fp32"), exact);
    EXPECT_LT(wide, narrow) << setting.name;
    EXPECT_GT(wide, tolerance(DType::fp32).relative) << setting.name;
  }
}

TEST(ResidualPrecisionLaw, any_keep_set_and_any_threads_give_the_same_bits) {
  std::mt19937 random(5);
  for (StepSetting setting : small_steps(narrow_precisions)) {
    setting.residual_precision = "fp32";
    const StepResult kept = run_step_of(setting);
    for (const int threads : {1, 2, 3, 4}) {
      setting.threads = threads;
      setting.keep = [&](const Program& forward) { return random_keep(forward, random); };
      EXPECT_THAT(bitwise_differences(run_step_of(setting), kept), ::testing::IsEmpty()) << setting.name;
    }
  }
}

TEST(ResidualPrecisionLaw, the_stream_is_wide_the_branches_are_not_and_bytes_are_used_as_planned) {
  for (StepSetting setting : small_steps(narrow_precisions))
    for (const std::vector<std::string>& targets : std::vector<std::vector<std::string>>{{}, {"TransformerBlock"}}) {
      setting.residual_precision = "fp32";
      setting.keep = [&](const Program& forward) { return keep_outside(forward, targets); };
      const Step step = build(setting, machine_with(2));
      for (const Operation& op : step.program.operations) {
        if (op.phase != Phase::forward || op.outs.empty()) continue;
        const DType made = step.program.value(op.outs[0]).type.dtype;
        const std::string_view kind = op.kind->name;
        const bool stream = kind == "dropout_add" || kind == "embedding",
                   inside = kind == "attention" || kind.ends_with("_norm");
        EXPECT_TRUE(!stream || made == DType::fp32) << kind;
        EXPECT_TRUE(!inside || made == dtype_named(setting.precision)) << kind;
      }
      CpuExecutor executor(step.program, step.plan, machine_with(2));
      executor.initialise(setting.seed);
      fill_batch(setting, step.program, executor);
      const Executor::UsedBytes used = executor.measure_used_bytes(1e-3);
      EXPECT_THAT(used.differences, ::testing::IsEmpty()) << setting.name;
      EXPECT_EQ(used.arena, step.plan.arena_bytes) << setting.name;
      EXPECT_EQ(used.largest_live, step.plan.largest_live_bytes) << setting.name;
    }
}

}  // namespace
}  // namespace stepscope::testing
