// Law: any split into micro-batches, unequal lengths and empty rows included and dropout on, is the same step:
// forward rows to the bit where tiles match, loss and gradients to the rounding of sums in another order.
#include <gtest/gtest.h>

#include "model/base/tolerance.h"
#include "tests/support/step_run.h"

namespace stepscope::testing {
namespace {

class AccumulationLaw : public ::testing::TestWithParam<const char*> {};

TEST_P(AccumulationLaw, every_split_of_twelve_rows_in_fp32) {
  StepSetting setting{
      .preset = GetParam(), .precision = "fp32", .threads = 2, .unequal_lengths = true, .global_batch = 12};
  const StepResult whole = run_step_of(setting);
  for (const std::int64_t micro_steps : {2, 3, 4, 6, 12}) {
    setting.micro_steps = micro_steps;
    const StepResult split = run_step_of(setting);
    EXPECT_NEAR(split.loss, whole.loss, 1e-6 * whole.loss) << micro_steps;
    EXPECT_LT(gradient_error(split, whole), 1e-5) << micro_steps;
    ASSERT_EQ(split.logits.size(), whole.logits.size());
    for (std::size_t i = 0; i < split.logits.size(); ++i)
      ASSERT_TRUE(close(split.logits[i], whole.logits[i], DType::fp32)) << micro_steps << " " << i;
  }
}

TEST_P(AccumulationLaw, every_split_of_twelve_rows_in_bf16) {
  StepSetting setting{
      .preset = GetParam(), .precision = "bf16", .threads = 2, .unequal_lengths = true, .global_batch = 12};
  const StepResult whole = run_step_of(setting);
  for (const std::int64_t micro_steps : {2, 3, 4, 6, 12}) {
    setting.micro_steps = micro_steps;
    const StepResult split = run_step_of(setting);
    EXPECT_NEAR(split.loss, whole.loss, 1e-4 * whole.loss) << micro_steps;
    EXPECT_LT(gradient_error(split, whole), 1e-2) << micro_steps;
  }
}

TEST_P(AccumulationLaw, every_split_of_twelve_rows_in_fp16) {
  StepSetting setting{
      .preset = GetParam(), .precision = "fp16", .threads = 2, .unequal_lengths = true, .global_batch = 12};
  const StepResult whole = run_step_of(setting);
  for (const std::int64_t micro_steps : {2, 3, 4, 6, 12}) {
    setting.micro_steps = micro_steps;
    const StepResult split = run_step_of(setting);
    EXPECT_TRUE(close(split.loss, whole.loss, DType::fp16)) << micro_steps;
    EXPECT_LT(gradient_error(split, whole), tolerance(DType::fp16).relative) << micro_steps;
  }
}

INSTANTIATE_TEST_SUITE_P(Presets, AccumulationLaw, ::testing::Values("tiny", "gpt2-tiny", "llama-tiny", "qwen3-tiny"),
                         [](const auto& info) { return std::string(info.param).substr(0, 4); });

TEST(AccumulationOfDropout, masks_do_not_depend_on_the_split) {
  // Without the law the two would differ by whole elements, not by rounding: a rate of one half makes that sure.
  StepSetting setting{
      .precision = "fp32", .change_model = [](ModelSettings& m) { m.dropout = 0.5; }, .global_batch = 4};
  const StepResult whole = run_step_of(setting);
  setting.micro_steps = 4;
  EXPECT_LT(gradient_error(run_step_of(setting), whole), 1e-5);
  setting.seed += 1;
  EXPECT_GT(gradient_error(run_step_of(setting), whole), 0.1);
}

}  // namespace
}  // namespace stepscope::testing
