// Law: an overflow in fp16 at step t leaves parameters, moments and Adam's t to the bit as they were, the scale is halved, and the
// next step is that of a run which never had step t. Overflows come about as they do in training: by a scale that grew too far.
#include <gtest/gtest.h>

#include <cmath>

#include "model/execution/cpu_executor.h"
#include "model/training/trainer.h"
#include "tests/support/families.h"

namespace stepscope::testing {
namespace {

using Bytes = std::vector<std::byte>;

std::vector<StateId> lasting(const Program& program) {
  std::vector<StateId> states = program.states_of(StateKind::parameter);
  for (const StateId id : program.states_of(StateKind::moment)) states.push_back(id);
  return states;
}

std::vector<Bytes> read_all(const Program& program, const Executor& executor) {
  std::vector<Bytes> all;
  for (const StateId id : lasting(program)) {
    all.emplace_back(static_cast<std::size_t>(program.state(id).type.size_bytes()));
    executor.read(id, all.back());
  }
  return all;
}

struct Training {
  StepSetting setting;
  const Step& step;
  CpuExecutor executor{step.program, step.plan, machine_with(2)};

  Training(StepSetting s, const Step& of) : setting(std::move(s)), step(of) { executor.initialise(setting.seed); }

  void next() {  // every step has a batch of its own
    setting.seed = 100 + static_cast<std::uint64_t>(executor.control().step);
    fill_batch(setting, step.program, executor);
    executor.step(1e-3);
  }
  void take(const std::vector<Bytes>& states) {
    const std::vector<StateId> ids = lasting(step.program);
    for (std::size_t i = 0; i < ids.size(); ++i) executor.write(ids[i], states[i]);
  }
};

StepSetting growing(int interval, double scale) {
  return {.precision = "fp16",
          .micro_steps = 2,
          .threads = 2,
          .unequal_lengths = true,
          .change_training = [=](TrainingSettings& t) {
            t.loss_scale = scale, t.loss_scale_growth_interval = interval, t.clip = 1;
          }};
}

TEST(LossScalingLaw, an_overflow_at_any_step_leaves_no_trace) {
  const StepSetting setting = growing(2, 0x1p16);
  const Step step = build(setting, machine_with(2));
  Training run(setting, step), other(setting, step);
  int overflows = 0;
  for (int t = 0; t < 40; ++t) {
    const std::vector<Bytes> before = read_all(step.program, run.executor);
    const ControlBlock was = run.executor.control();
    run.next();
    const ControlBlock& now = run.executor.control();
    if (now.found_inf == 0) {
      EXPECT_NE(read_all(step.program, run.executor), before);
      EXPECT_EQ(now.updates(), was.updates() + 1);
      continue;
    }
    ++overflows;
    EXPECT_EQ(read_all(step.program, run.executor), before) << "step " << t;
    EXPECT_EQ(now.updates(), was.updates());
    EXPECT_EQ(now.loss_scale, was.loss_scale / 2);
    EXPECT_EQ(now.skips, was.skips + 1);
    // Another executor, which never ran step t, goes on with step t + 1.
    other.take(before);
    ControlBlock& control = other.executor.control();
    control = was;
    control.step = was.step + 1, control.skips = was.skips + 1, control.clean_steps = 0;
    control.loss_scale = was.loss_scale / 2;
    other.next();
    Training again(setting, step);
    again.take(read_all(step.program, run.executor));
    again.executor.control() = now;
    again.next();
    EXPECT_EQ(read_all(step.program, again.executor), read_all(step.program, other.executor)) << "step " << t;
  }
  EXPECT_GE(overflows, 3);
}

// Step 2 overflows; step 3 is that of another executor, which never ran step 2.
void expect_no_trace(StepSetting setting, const std::function<void(std::vector<std::int32_t>&)>& targets_of_overflow) {
  setting.change_training = [](TrainingSettings& t) { t.loss_scale = 256, t.clip = 1; };
  const Step step = build(setting, machine_with(2));
  Training run(setting, step), other(setting, step);
  run.next();
  run.next();
  const std::vector<Bytes> before = read_all(step.program, run.executor);
  const ControlBlock was = run.executor.control();
  ASSERT_EQ(was.updates(), 2);
  ControlBlock &control = run.executor.control(), &others = other.executor.control();
  control.loss_scale = 0x1p60;
  run.setting.change_targets = targets_of_overflow;
  run.next();
  run.setting.change_targets = {};
  ASSERT_NE(control.found_inf, 0);
  EXPECT_EQ(read_all(step.program, run.executor), before);
  EXPECT_EQ(control.updates(), was.updates());
  EXPECT_EQ(control.skips, 1);
  EXPECT_EQ(control.loss_scale, 0x1p59);
  other.take(before);
  others = was;
  others.step = was.step + 1, others.skips = 1, others.clean_steps = 0;
  control.loss_scale = was.loss_scale;
  run.next();
  other.next();
  EXPECT_EQ(read_all(step.program, run.executor), read_all(step.program, other.executor));
  EXPECT_NE(read_all(step.program, run.executor), before);
  EXPECT_EQ(control.updates(), 3);
}

TEST(LossScalingLaw, an_injected_overflow_leaves_no_trace_in_any_family_attention_and_mask) {
  constexpr const char* in_fp16[] = {"fp16"};
  for (const StepSetting& setting : every_small_step(in_fp16)) {
    SCOPED_TRACE(setting.name);
    expect_no_trace(setting, {});
  }
}

// Targets are ignored but those of one micro-step: then it overflows alone.
TEST(LossScalingLaw, an_overflow_in_one_micro_step_is_seen_whichever_it_is) {
  for (std::size_t which = 0; which < 4; ++which) {
    SCOPED_TRACE(which);
    StepSetting setting = small_step(families().front(), "fp16");
    setting.micro_steps = 4;
    expect_no_trace(setting, [which](std::vector<std::int32_t>& targets) {
      for (std::size_t at = 0; at < targets.size(); ++at)
        if (at / (targets.size() / 4) != which) targets[at] = -1;
    });
  }
}

TEST(LossScalingLaw, a_scale_that_is_far_too_large_comes_down_and_training_begins) {
  const StepSetting setting = growing(2000, 0x1p40);
  const Step step = build(setting, machine_with(2));
  Training run(setting, step);
  const std::vector<Bytes> begin = read_all(step.program, run.executor);
  while (run.executor.control().updates() == 0 && run.executor.control().step < 64) {
    EXPECT_EQ(read_all(step.program, run.executor), begin);
    run.next();
  }
  const ControlBlock& now = run.executor.control();
  EXPECT_EQ(now.updates(), 1);
  EXPECT_GT(now.skips, 8);
  EXPECT_EQ(now.loss_scale, std::ldexp(0x1p40, -static_cast<int>(now.skips)));
}

TEST(LossScalingLaw, a_skipped_step_leaves_the_place_in_the_schedule) {
  const Step step = build(growing(2000, 0x1p16), machine_with(2));
  CpuExecutor executor(step.program, step.plan, machine_with(2));
  const auto source = make_data_source({}, {.rows = 8, .sequence = 32, .vocabulary = 256, .seed = 1});
  const Schedule schedule = schedule_named("seed", 4e-4, 10, 0);
  Trainer trainer(step.program, executor, *source, schedule);
  executor.control().step = 20, executor.control().skips = 3;
  EXPECT_EQ(trainer.next_learning_rate(), learning_rate_at(schedule, 17));
  executor.control().loss_scale = 0x1p60;
  const stepscope::StepResult skipped = trainer.step();
  EXPECT_TRUE(skipped.skipped);
  EXPECT_EQ(skipped.loss_scale, 0x1p60);
  EXPECT_EQ(trainer.next_learning_rate(), learning_rate_at(schedule, 17));
  EXPECT_FALSE(diverged(skipped));
  EXPECT_TRUE(diverged(stepscope::StepResult{.loss = 1, .loss_scale = 1, .skipped = true}));
  EXPECT_TRUE(diverged(stepscope::StepResult{.loss = std::nan(""), .loss_scale = 8, .skipped = false}));
}

// Where nothing is lost below fp16's range a power of two cancels to the bit, so the law of the keep-sets holds for the scale too.
TEST(LossScalingLaw, gradients_come_out_unscaled) {
  StepSetting setting = growing(2000, 1);
  setting.precision = "fp32";
  const StepResult plain = run_step_of(setting);
  setting.precision = "fp16";
  for (const double scale : {0x1p10, 0x1p16}) {
    setting.change_training = [=](TrainingSettings& t) { t.loss_scale = scale; };
    const StepResult scaled = run_step_of(setting);
    EXPECT_LT(gradient_error(scaled, plain), 0x1p-6) << scale;
  }
}

}  // namespace
}  // namespace stepscope::testing
