#include "tests/support/step_laws.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "model/base/tolerance.h"
#include "model/execution/make_executor.h"
#include "model/techniques/checkpointing.h"
#include "tests/support/programs.h"

namespace stepscope::testing {

void expect_any_split_is_the_same_step(StepSetting setting, std::initializer_list<std::int64_t> splits,
                                       const RunStep& run) {
  setting.micro_steps = 1;
  const StepResult whole = run(setting);
  const DType type = dtype_named(setting.precision).value();
  for (const std::int64_t micro_steps : splits) {
    setting.micro_steps = micro_steps;
    const StepResult split = run(setting);
    EXPECT_TRUE(close(split.loss, whole.loss, type)) << micro_steps;
    EXPECT_LT(gradient_error(split, whole), tolerance(type).relative) << micro_steps;
    ASSERT_EQ(split.logits.size(), whole.logits.size());
    for (std::size_t i = 0; i < split.logits.size(); ++i)
      ASSERT_TRUE(close(split.logits[i], whole.logits[i], type)) << micro_steps << " " << i;
  }
}

void expect_random_sets_change_nothing(StepSetting setting, int sets, const RunStep& run) {
  const StepResult kept = run(setting);
  std::seed_seq of_name(setting.name.begin(), setting.name.end());
  std::mt19937 random(of_name);
  for (int trial = 0; trial < sets; ++trial) {
    setting.keep = [&](const Program& forward) { return random_keep(forward, random); };
    ASSERT_THAT(bitwise_differences(run(setting), kept), ::testing::IsEmpty()) << "set " << trial;
  }
}

void expect_used_as_planned(StepSetting setting, const std::vector<std::string>& dropped, const Machine& machine) {
  setting.keep = [&](const Program& forward) { return keep_outside(forward, dropped); };
  const Step step = build(setting, machine);
  const std::unique_ptr<Executor> executor = make_executor(step.program, step.plan, machine);
  executor->initialise(setting.seed);
  fill_batch(setting, step.program, *executor);
  const Executor::UsedBytes used = executor->measure_used_bytes(1e-3);
  EXPECT_THAT(used.differences, ::testing::IsEmpty());
  EXPECT_EQ(used.arena, step.plan.arena_bytes);
  EXPECT_EQ(used.largest_live, step.plan.largest_live_bytes);
  EXPECT_EQ(used.states, state_bytes(step.program).total());
}

}  // namespace stepscope::testing
