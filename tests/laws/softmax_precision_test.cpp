// Law: probabilities rounded to bf16 change a step by rounding alone, forward and backward alike; nothing else changes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "model/base/tolerance.h"
#include "model/execution/cpu_executor.h"
#include "tests/support/families.h"
#include "tests/support/programs.h"

namespace stepscope::testing {
namespace {

StepSetting with_softmax(const StepSetting& setting, const char* softmax) {
  StepSetting with = setting;
  with.change_model = [=, change = setting.change_model](ModelSettings& m) {
    change(m);
    m.softmax_precision = softmax;
  };
  return with;
}

StepSetting setting_of(const char* precision, const char* attention, const char* softmax) {
  return {.precision = precision,
          .micro_steps = 2,
          .threads = 2,
          .unequal_lengths = true,
          .change_model = [=](ModelSettings& m) { m.attention = attention, m.softmax_precision = softmax; }};
}

TEST(SoftmaxPrecisionLaw, differs_from_fp32_by_rounding_in_every_family_and_precision) {
  for (const StepSetting& setting : small_steps()) {
    const StepResult exact = run_step_of(setting), rounded = run_step_of(with_softmax(setting, "bf16"));
    const double error = gradient_error(rounded, exact);
    EXPECT_GT(error, 0) << setting.name;
    EXPECT_LT(error, tolerance(DType::bf16).relative) << setting.name;
    EXPECT_TRUE(close(rounded.loss, exact.loss, DType::bf16)) << setting.name;
  }
}

// In bf16 probabilities are rounded before they meet v in any case: forward is the same to the bit, backward sees them rounded.
TEST(SoftmaxPrecisionLaw, leaves_forward_in_bf16_to_the_bit) {
  constexpr const char* in_bf16[] = {"bf16"};
  for (const StepSetting& setting : small_steps(in_bf16))
    EXPECT_EQ(run_step_of(with_softmax(setting, "bf16")).logits, run_step_of(setting).logits) << setting.name;
}

TEST(SoftmaxPrecisionLaw, both_kinds_round_the_same_probabilities) {
  const StepResult fused = run_step_of(setting_of("fp32", "fused", "bf16")),
                   materialised = run_step_of(setting_of("fp32", "materialised", "bf16"));
  // Probabilities that fp32 leaves near a tie may round either way: a unit of bf16 in few of them.
  EXPECT_LT(gradient_error(fused, materialised), tolerance(DType::bf16).relative / 8);
}

TEST(SoftmaxPrecisionLaw, any_keep_set_and_any_threads_give_the_same_bits) {
  std::mt19937 random(9);
  for (StepSetting setting : small_steps()) {
    setting = with_softmax(setting, "bf16");
    const StepResult kept = run_step_of(setting);
    for (const int threads : {1, 2, 3, 4}) {
      setting.threads = threads;
      setting.keep = [&](const Program& forward) { return random_keep(forward, random); };
      EXPECT_THAT(bitwise_differences(run_step_of(setting), kept), ::testing::IsEmpty()) << setting.name;
    }
  }
}

TEST(SoftmaxPrecisionLaw, a_materialised_matrix_takes_two_bytes_and_is_used_as_planned) {
  for (const char* precision : precisions) {
    const Step exact = build(setting_of(precision, "materialised", "fp32"), machine_with(2));
    const StepSetting setting = setting_of(precision, "materialised", "bf16");
    const Step step = build(setting, machine_with(2));
    for (const Value& value : step.program.values) EXPECT_TRUE(value.name != "p" || value.type.dtype == DType::bf16);
    EXPECT_LT(step.plan.largest_live_bytes, exact.plan.largest_live_bytes) << precision;
    for (const char* attention : attentions) {
      const StepSetting used_setting = setting_of(precision, attention, "bf16");
      const Step used_step = build(used_setting, machine_with(2));
      CpuExecutor executor(used_step.program, used_step.plan, machine_with(2));
      executor.initialise(used_setting.seed);
      fill_batch(used_setting, used_step.program, executor);
      const Executor::UsedBytes used = executor.measure_used_bytes(1e-3);
      EXPECT_THAT(used.differences, ::testing::IsEmpty()) << attention << precision;
      EXPECT_EQ(used.arena, used_step.plan.arena_bytes) << attention << precision;
    }
  }
}

}  // namespace
}  // namespace stepscope::testing
