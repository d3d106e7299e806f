// Law: what lies in host memory between its uses changes no bit of a step; and both sides take the bytes that were planned.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/execution/cpu_executor.h"
#include "model/program/copy_schedule.h"
#include "model/program/verify.h"
#include "model/techniques/checkpointing.h"
#include "tests/support/families.h"

namespace stepscope::testing {
namespace {

using Words = std::vector<std::string>;

const std::vector<Words> choices = {{"activations:TransformerBlock"},
                                    {"activations:MLPBlock", "activations:attention"},
                                    {"optimizer"},
                                    {"activations:layer_norm", "optimizer"}};

StepSetting small(const std::string& precision, std::int64_t micro_steps) {
  return {.precision = precision, .micro_steps = micro_steps, .threads = 2, .unequal_lengths = true, .steps = 2};
}

// 0: a CPU's copies, in place; else beside other work, awaited where a link of that rate has carried them.
const std::vector<double> links = {0, 1e9, 1e12};

TEST(OffloadLaw, holds_for_every_precision_choice_split_and_link) {
  for (const char* precision : {"fp32", "bf16", "fp16"})
    for (const std::int64_t micro_steps : {1, 4}) {
      StepSetting setting = small(precision, micro_steps);
      const StepResult plain = run_step_of(setting);
      std::size_t turn = 0;
      for (const Words& words : choices) {
        setting.offload = words;
        setting.host_bandwidth = links[turn++ % links.size()];
        EXPECT_THAT(bitwise_differences(run_step_of(setting), plain), ::testing::IsEmpty())
            << precision << " " << words.front() << " x " << micro_steps;
      }
    }
}

TEST(OffloadLaw, holds_beside_checkpointing_chunks_and_clipping) {
  for (const char* precision : {"fp32", "bf16"}) {
    StepSetting setting = small(precision, 2);
    setting.logits_chunks = 3;
    setting.change_training = [](TrainingSettings& t) { t.clip = 0.5; };
    const StepResult plain = run_step_of(setting);
    setting.keep = [](const Program& forward) { return keep_outside(forward, {"MLPBlock"}); };
    for (const char* target : {"activations:TransformerBlock", "activations:LayerNorm", "activations:final_norm"}) {
      setting.offload = {target, "optimizer"};
      setting.host_bandwidth = 1e10;
      EXPECT_THAT(bitwise_differences(run_step_of(setting), plain), ::testing::IsEmpty()) << target;
    }
  }
}

TEST(OffloadLaw, holds_for_master_parameters_of_every_family) {
  for (StepSetting setting : small_steps()) {
    SCOPED_TRACE(setting.name);
    setting.precision = "bf16", setting.steps = 2;
    const StepResult plain = run_step_of(setting);
    setting.offload = {"master", "optimizer", "activations:TransformerBlock"};
    setting.host_bandwidth = 1e10;
    for (const char* dropped : {"none", "MLPBlock"}) {
      setting.keep = [&](const Program& forward) {
        return dropped == std::string("none") ? keepable(forward) : keep_outside(forward, {dropped});
      };
      EXPECT_THAT(bitwise_differences(run_step_of(setting), plain), ::testing::IsEmpty()) << dropped;
    }
  }
}

// What is split otherwise is another step by rounding; what lies elsewhere is not: offload changes nothing at either split.
TEST(OffloadLaw, keeps_the_laws_of_threads_and_windows) {
  StepSetting setting = small("bf16", 2);
  setting.offload = {"activations:TransformerBlock", "optimizer", "master"};
  const StepResult one = run_step_of(setting);
  setting.host_bandwidth = 1e9;
  for (const int in_flight : {0, 1, 3, 100}) {
    setting.copies_in_flight = in_flight;
    setting.threads = 1 + in_flight % 3;
    EXPECT_THAT(bitwise_differences(run_step_of(setting), one), ::testing::IsEmpty()) << in_flight;
  }
}

TEST(OffloadLaw, an_overflow_leaves_no_trace_in_states_of_the_host) {
  StepSetting setting = small("fp16", 1);
  setting.change_training = [](TrainingSettings& t) { t.loss_scale = 0x1p60; };
  const StepResult plain = run_step_of(setting);
  setting.offload = {"optimizer", "master"};
  EXPECT_THAT(bitwise_differences(run_step_of(setting), plain), ::testing::IsEmpty());
}

Executor::UsedBytes used_by(const StepSetting& setting, const Step& step) {
  CpuExecutor executor(step.program, step.plan, machine_with(2));
  executor.initialise(setting.seed);
  fill_batch(setting, step.program, executor);
  return executor.measure_used_bytes(1e-3);
}

TEST(OffloadLaw, used_bytes_are_the_planned_ones_on_both_sides) {
  for (const char* precision : {"fp32", "bf16"})
    for (const Words& words : choices)
      for (const double link : links) {
        StepSetting setting = small(precision, 2);
        setting.offload = words, setting.host_bandwidth = link;
        const Step step = build(setting, machine_with(2));
        const Executor::UsedBytes used = used_by(setting, step);
        SCOPED_TRACE(std::string(precision) + " " + words.front());
        EXPECT_THAT(used.differences, ::testing::IsEmpty());
        EXPECT_EQ(used.arena, step.plan.arena_bytes);
        EXPECT_EQ(used.largest_live, step.plan.largest_live_bytes);
        EXPECT_EQ(used.states, state_bytes(step.program).total());
        EXPECT_EQ(used.host_arena, step.plan.host_arena_bytes);
        EXPECT_EQ(used.host_largest_live, step.plan.host_largest_live_bytes);
        EXPECT_EQ(used.host_states, state_bytes(step.program).host);
        EXPECT_GT(used.host_states + used.host_arena, 0);
      }
}

// Moments that come back to another place than the one they came to, which no plan here chooses.
TEST(OffloadLaw, holds_where_an_update_is_not_in_place) {
  StepSetting setting = small("fp16", 1);
  setting.change_training = [](TrainingSettings& t) { t.loss_scale = 0x1p60, t.loss_scale_growth_interval = 1; };
  setting.steps = 60;  // the first ones overflow
  setting.offload = {"optimizer"};
  setting.change_model = [](ModelSettings& m) { m.layers = 1, m.hidden = 8, m.vocabulary = 16, m.max_sequence = 4; };
  const Step step = build(setting, machine_with(1));
  const Step apart = with_updates_elsewhere(step);
  verify(apart.program, apart.plan);
  CpuExecutor in_place(step.program, step.plan, machine_with(1)), elsewhere(apart.program, apart.plan, machine_with(1));
  const StepResult a = run_step_on(in_place, step, setting), b = run_step_on(elsewhere, apart, setting);
  EXPECT_THAT(bitwise_differences(a, b), ::testing::IsEmpty());
  EXPECT_GT(in_place.control().skips, 0);
  EXPECT_LT(in_place.control().skips, setting.steps);
}

TEST(OffloadLaw, frees_the_device_of_what_the_host_takes) {
  StepSetting setting = small("bf16", 1);
  const Step plain = build(setting, machine_with(1));
  setting.offload = {"optimizer", "master"};
  const Step moved = build(setting, machine_with(1));
  const StateBytes before = state_bytes(plain.program), after = state_bytes(moved.program);
  EXPECT_EQ(after.moments, 0);
  EXPECT_EQ(before.total(), after.total() + after.host);
  EXPECT_GT(before.parameters - after.parameters, before.parameters / 2);
  setting.offload = {"activations:TransformerBlock"};
  const Step sent = build(setting, machine_with(1));
  EXPECT_LT(sent.plan.largest_live_bytes, plain.plan.largest_live_bytes / 2);
  EXPECT_EQ(copy_traffic(sent.program).to_host_bytes, copy_traffic(sent.program).from_host_bytes);
}

}  // namespace
}  // namespace stepscope::testing
