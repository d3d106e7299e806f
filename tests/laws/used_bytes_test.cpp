// Law: used bytes = planned bytes, to the byte, in every kind of cell; and the measurement sees a single byte more.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/base/error.h"
#include "model/execution/cpu_executor.h"
#include "model/program/verify.h"
#include "tests/support/families.h"
#include "tests/support/step_laws.h"

namespace stepscope::testing {
namespace {

const std::vector<std::vector<std::string>> choices = {{}, {"MLPBlock", "AttentionBlock"}, {"TransformerBlock"}};

TEST(UsedBytesLaw, holds_for_every_precision_checkpointing_split_and_attention) {
  for (const char* precision : precisions)
    for (const char* attention : attentions)
      for (const std::vector<std::string>& dropped : choices)
        for (const std::int64_t micro_steps : {1, 4}) {
          StepSetting setting{
              .precision = precision, .micro_steps = micro_steps, .threads = 2, .unequal_lengths = micro_steps == 4};
          setting.change_model = [&](ModelSettings& m) { m.attention = attention; };
          expect_used_as_planned(setting, dropped, machine_with(setting.threads));
        }
}

TEST(UsedBytesLaw, holds_for_every_family_precision_attention_and_mask) {
  std::size_t turn = 0;
  for (const StepSetting& setting : every_small_step()) {
    SCOPED_TRACE(setting.name);
    expect_used_as_planned(setting, choices[turn++ % choices.size()], machine_with(setting.threads));
  }
}

// Plans every tensor in turn with one byte more than its operation makes: the measurement names exactly that one.
TEST(UsedBytesLaw, fails_when_one_tensor_grows_by_one_byte) {
  const StepSetting setting{.precision = "bf16", .micro_steps = 2};
  const Step step = build(setting, machine_with(1));
  for (std::size_t v = 0; v < step.program.values.size(); v += 7) {
    MemoryPlan grown = step.plan;
    grown.placements[v].size_bytes += 1;
    CpuExecutor executor(step.program, grown, machine_with(1));
    executor.initialise(setting.seed);
    fill_batch(setting, step.program, executor);
    const auto differences = executor.measure_used_bytes(1e-3).differences;
    ASSERT_EQ(differences.size(), 1U);
    EXPECT_THAT(differences[0], ::testing::HasSubstr(step.program.values[v].name + " at "));
    EXPECT_THROW(verify(step.program, grown), ProgramError);
  }
}

TEST(UsedBytesLaw, measuring_leaves_the_training_as_it_was) {
  const StepSetting setting{.precision = "bf16", .micro_steps = 2, .threads = 2};
  const Step step = build(setting, machine_with(2));
  const auto loss_after = [&](bool measure) {
    CpuExecutor executor(step.program, step.plan, machine_with(2));
    executor.initialise(setting.seed);
    fill_batch(setting, step.program, executor);
    executor.step(1e-3);
    if (measure) (void)executor.measure_used_bytes(1e-3);
    executor.step(1e-3);
    return executor.control().loss_sum;
  };
  EXPECT_EQ(loss_after(true), loss_after(false));
}

}  // namespace
}  // namespace stepscope::testing
