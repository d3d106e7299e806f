// Law: any split into micro-batches, unequal lengths and empty rows included and dropout on, is the same step:
// forward rows to the bit where tiles match, loss and gradients to the rounding of sums in another order.
#include <gtest/gtest.h>

#include "model/base/tolerance.h"
#include "tests/support/families.h"
#include "tests/support/step_laws.h"

namespace stepscope::testing {
namespace {

TEST(AccumulationLaw, every_split_of_twelve_rows) {
  for (const char* precision : precisions) {
    SCOPED_TRACE(precision);
    expect_any_split_is_the_same_step(
        {.precision = precision, .threads = 2, .unequal_lengths = true, .global_batch = 12}, {2, 3, 4, 6, 12});
  }
}

TEST(AccumulationLaw, holds_for_every_family_precision_attention_and_mask) {
  for (const StepSetting& setting : every_small_step()) {
    SCOPED_TRACE(setting.name);
    expect_any_split_is_the_same_step(setting, {2, 4});
  }
}

TEST(AccumulationOfDropout, masks_do_not_depend_on_the_split) {
  // Without the law the two would differ by whole elements, not by rounding: a rate of one half makes that sure.
  StepSetting setting{
      .precision = "fp32", .change_model = [](ModelSettings& m) { m.dropout = 0.5; }, .global_batch = 4};
  const StepResult whole = run_step_of(setting);
  setting.micro_steps = 4;
  EXPECT_LT(gradient_error(run_step_of(setting), whole), tolerance(DType::fp32).relative);
  setting.seed += 1;
  EXPECT_GT(gradient_error(run_step_of(setting), whole), 0.1);
}

}  // namespace
}  // namespace stepscope::testing
