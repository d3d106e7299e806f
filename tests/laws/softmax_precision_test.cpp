// Law: probabilities rounded to bf16 change a step by rounding alone, forward and backward alike; nothing else changes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "model/base/tolerance.h"
#include "model/execution/cpu_executor.h"
#include "tests/support/programs.h"
#include "tests/support/step_run.h"

namespace stepscope::testing {
namespace {

StepSetting setting_of(const char* preset, const char* precision, const char* attention, const char* softmax) {
  return {.preset = preset,
          .precision = precision,
          .micro_steps = 2,
          .threads = 2,
          .unequal_lengths = true,
          .change_model = [=](ModelSettings& m) { m.attention = attention, m.softmax_precision = softmax; }};
}

constexpr const char* kinds[] = {"fused", "materialised"};

TEST(SoftmaxPrecisionLaw, differs_from_fp32_by_rounding_in_every_precision_and_kind) {
  for (const char* preset : {"tiny", "llama-tiny"})
    for (const char* attention : kinds)
      for (const char* precision : {"fp32", "bf16", "fp16"}) {
        const StepResult exact = run_step_of(setting_of(preset, precision, attention, "fp32")),
                         rounded = run_step_of(setting_of(preset, precision, attention, "bf16"));
        const double error = gradient_error(rounded, exact);
        EXPECT_GT(error, 0) << preset << attention << precision;
        EXPECT_LT(error, tolerance(DType::bf16).relative) << preset << attention << precision;
        EXPECT_TRUE(close(rounded.loss, exact.loss, DType::bf16));
      }
}

// In bf16 probabilities are rounded before they meet v in any case: forward is the same to the bit, backward sees them rounded.
TEST(SoftmaxPrecisionLaw, leaves_forward_in_bf16_to_the_bit) {
  for (const char* attention : kinds) {
    const StepResult exact = run_step_of(setting_of("tiny", "bf16", attention, "fp32")),
                     rounded = run_step_of(setting_of("tiny", "bf16", attention, "bf16"));
    EXPECT_EQ(rounded.logits, exact.logits) << attention;
  }
}

TEST(SoftmaxPrecisionLaw, both_kinds_round_the_same_probabilities) {
  const StepResult fused = run_step_of(setting_of("tiny", "fp32", "fused", "bf16")),
                   materialised = run_step_of(setting_of("tiny", "fp32", "materialised", "bf16"));
  // Probabilities that fp32 leaves near a tie may round either way: a unit of bf16 in few of them.
  EXPECT_LT(gradient_error(fused, materialised), tolerance(DType::bf16).relative / 8);
}

TEST(SoftmaxPrecisionLaw, any_keep_set_and_any_threads_give_the_same_bits) {
  std::mt19937 random(9);
  for (const char* attention : kinds)
    for (const char* precision : {"fp32", "bf16", "fp16"}) {
      StepSetting setting = setting_of("llama-tiny", precision, attention, "bf16");
      const StepResult kept = run_step_of(setting);
      for (int trial = 0; trial < 4; ++trial) {
        setting.threads = 1 + trial;
        setting.keep = [&](const Program& forward) { return random_keep(forward, random); };
        EXPECT_THAT(bitwise_differences(run_step_of(setting), kept), ::testing::IsEmpty()) << attention << precision;
      }
    }
}

TEST(SoftmaxPrecisionLaw, a_materialised_matrix_takes_two_bytes_and_is_used_as_planned) {
  for (const char* precision : {"fp32", "bf16", "fp16"}) {
    const Step exact = build(setting_of("tiny", precision, "materialised", "fp32"), machine_with(2));
    const StepSetting setting = setting_of("tiny", precision, "materialised", "bf16");
    const Step step = build(setting, machine_with(2));
    for (const Value& value : step.program.values) EXPECT_TRUE(value.name != "p" || value.type.dtype == DType::bf16);
    EXPECT_LT(step.plan.largest_live_bytes, exact.plan.largest_live_bytes) << precision;
    for (const char* attention : kinds) {
      const StepSetting used_setting = setting_of("tiny", precision, attention, "bf16");
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
