// Law: gradients of matrices in bf16 are those of fp32, rounded once a micro-step; everything else about a step stays.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/base/half.h"
#include "model/base/tolerance.h"
#include "model/execution/cpu_executor.h"
#include "tests/support/families.h"

namespace stepscope::testing {
namespace {

StepSetting setting_of(const char* precision, std::int64_t micro_steps, const char* gradients) {
  StepSetting setting{.precision = precision, .micro_steps = micro_steps, .threads = 2, .unequal_lengths = true};
  setting.gradient_precision = gradients;
  return setting;
}

TEST(GradientPrecisionLaw, one_micro_step_rounds_each_gradient_once) {
  for (StepSetting setting : small_steps()) {
    setting.micro_steps = 1;
    const StepResult wide = run_step_of(setting);
    setting.gradient_precision = "bf16";
    const StepResult narrow = run_step_of(setting);
    EXPECT_EQ(narrow.loss, wide.loss);
    EXPECT_EQ(narrow.logits, wide.logits);
    for (const auto& [name, gradient] : wide.gradients) {
      const bool matrix = name.ends_with("weight") || name == "embedding" || name == "positions";
      if (name == "embedding" && !wide.gradients.contains("head.weight"))
        continue;  // the head writes it too: two roundings
      for (std::size_t i = 0; i < gradient.size(); ++i)
        ASSERT_EQ(narrow.gradients.at(name)[i], matrix ? to_float(to_bf16(gradient[i])) : gradient[i])
            << setting.name << " " << name << " " << i;
    }
  }
}

// Each addition rounds to 8 bits, so N of them lose at most N times that; what one does is half a unit in the last place.
TEST(GradientPrecisionLaw, many_micro_steps_lose_a_rounding_each) {
  const double half_unit = 0x1p-9;
  double before = 0;
  for (const std::int64_t micro_steps : {1, 2, 8}) {
    const double error = gradient_error(run_step_of(setting_of("fp32", micro_steps, "bf16")),
                                        run_step_of(setting_of("fp32", micro_steps, "fp32")));
    EXPECT_LT(error, half_unit * static_cast<double>(micro_steps)) << micro_steps;
    EXPECT_GT(error, before) << micro_steps;
    before = error;
  }
}

TEST(GradientPrecisionLaw, any_threads_give_the_same_bits) {
  for (StepSetting setting : small_steps()) {
    setting.micro_steps = 4, setting.gradient_precision = "bf16", setting.logits_chunks = 2;
    const StepResult two = run_step_of(setting);
    for (const int threads : {1, 3}) {
      setting.threads = threads;
      EXPECT_THAT(bitwise_differences(run_step_of(setting), two), ::testing::IsEmpty()) << setting.name << threads;
    }
  }
}

TEST(GradientPrecisionLaw, states_shrink_by_two_bytes_an_element_and_are_used_as_planned) {
  for (StepSetting setting : small_steps()) {
    SCOPED_TRACE(setting.name);
    setting.micro_steps = 4;
    setting.change_training = [](TrainingSettings& t) { t.clip = 1; };
    const Step wide = build(setting, machine_with(2));
    setting.gradient_precision = "bf16";
    const Step step = build(setting, machine_with(2));
    std::int64_t saved = 0;
    for (const StateId id : step.program.states_of(StateKind::gradient)) {
      const TensorType& type = step.program.state(id).type;
      EXPECT_EQ(type.dtype, type.shape.rank() == 2 ? DType::bf16 : DType::fp32);
      if (type.shape.rank() == 2)
        saved += round_up(4 * type.shape.elements(), 256) - round_up(2 * type.shape.elements(), 256);
    }
    EXPECT_EQ(state_bytes(wide.program).total() - state_bytes(step.program).total(), saved);
    CpuExecutor executor(step.program, step.plan, machine_with(2));
    executor.initialise(setting.seed);
    fill_batch(setting, step.program, executor);
    const Executor::UsedBytes used = executor.measure_used_bytes(1e-3);
    EXPECT_THAT(used.differences, ::testing::IsEmpty());
    EXPECT_EQ(used.arena, step.plan.arena_bytes);
    EXPECT_EQ(used.states, state_bytes(step.program).total());
  }
}

}  // namespace
}  // namespace stepscope::testing
