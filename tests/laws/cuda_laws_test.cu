// The laws of whole steps on a card, or on host SIMT: every family in every precision, with attention and masks in turn. With
// STEPSCOPE_FULL set every attention and mask of each.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>

#include "model/base/tolerance.h"
#include "model/cuda/machine.h"
#include "model/execution/make_executor.h"
#include "model/operations/lowering.h"
#include "model/program/verify.h"
#include "tests/support/families.h"
#include "tests/support/programs.h"
#include "tests/support/step_laws.h"
#ifndef __CUDACC__
#include "tests/support/host_simt/runtime.cuh"
#endif

namespace stepscope::testing {
namespace {

bool all() { return std::getenv("STEPSCOPE_FULL") != nullptr; }

std::vector<StepSetting> steps() {
  if (all()) return every_small_step();
  return small_steps();
}
std::vector<StepSetting>
few_steps() {  // in a quick test six families, each in another precision than the one before it
  if (all()) return small_steps();
  std::vector<StepSetting> chosen;
  const std::vector<StepSetting> list = small_steps();
  for (std::size_t i = 0; i < list.size(); i += std::size(precisions) + 1) chosen.push_back(list[i]);
  return chosen;
}

StepResult eager(const StepSetting& s) { return run_step_on_card(s, false); }
StepResult graphs(const StepSetting& s) { return run_step_on_card(s, true); }

TEST(CudaLaws, a_step_of_every_family_and_precision_is_that_of_the_cpu) {
  for (const StepSetting& setting : steps()) {
    SCOPED_TRACE(setting.name);
    const DType type = dtype_named(setting.precision).value();
    const StepResult card = eager(setting), cpu = run_step_of(setting);
    EXPECT_TRUE(close(card.loss, cpu.loss, type)) << card.loss << ", " << cpu.loss;
    EXPECT_LT(gradient_error(card, cpu), tolerance(type).relative);
    ASSERT_EQ(card.logits.size(), cpu.logits.size());
    for (std::size_t i = 0; i < card.logits.size(); ++i) ASSERT_TRUE(close(card.logits[i], cpu.logits[i], type)) << i;
  }
}

TEST(CudaLaws, any_split_is_the_same_step) {
  for (const StepSetting& setting : few_steps()) {
    SCOPED_TRACE(setting.name);
    expect_any_split_is_the_same_step(setting, {2, 4}, eager);
  }
  StepSetting twelve{.precision = "bf16", .unequal_lengths = true, .global_batch = 12};
  twelve.change_model = [](ModelSettings& m) { m.layers = 1; };
  expect_any_split_is_the_same_step(twelve, {3, 12}, graphs);
}

TEST(CudaLaws, any_keep_set_gives_the_same_bits_eager_and_replayed) {
  for (StepSetting setting : few_steps()) {
    SCOPED_TRACE(setting.name);
    expect_random_sets_change_nothing(setting, 1, eager);
    setting.steps = 3;
    expect_random_sets_change_nothing(setting, 1, graphs);
  }
}

// Three steps: each of another learning rate, seed, batch and scale of the loss.
StepResult run_with_changing_scalars(const StepSetting& s, bool as_graphs) {
  const Machine card = this_card();
  const Step step = build(s, card);
  const std::unique_ptr<Executor> executor = make_executor(step.program, step.plan, card, {.eager = !as_graphs});
  executor->initialise(s.seed);
  for (int i = 0; i < 3; ++i) {
    StepSetting batch = s;
    batch.seed += static_cast<std::uint64_t>(i);
    fill_batch(batch, step.program, *executor);
    executor->control().seed = std::uint64_t{0x100000007} * static_cast<std::uint64_t>(i);
    if (s.precision == "fp16") executor->control().loss_scale = 512 >> i;
    executor->step(1e-2 / (i + 1));
  }
  return result_of(*executor, step.program);
}

TEST(CudaLaws, graphs_replayed_with_other_scalars_are_eager_steps_with_them) {
  for (const StepSetting& setting : few_steps()) {
    SCOPED_TRACE(setting.name);
    EXPECT_THAT(
        bitwise_differences(run_with_changing_scalars(setting, true), run_with_changing_scalars(setting, false)),
        ::testing::IsEmpty());
  }
}

TEST(CudaLaws, used_bytes_are_those_planned) {
  const std::vector<std::vector<std::string>> choices = {{}, {"MLPBlock", "AttentionBlock"}, {"TransformerBlock"}};
  std::size_t turn = 0;
  for (const StepSetting& setting : few_steps()) {
    SCOPED_TRACE(setting.name);
    expect_used_as_planned(setting, choices[turn++ % choices.size()], this_card());
  }
}

struct RandomStep {
  Program program;
  MemoryPlan plan;
};
RandomStep random_step(const Program& forward, const KeepSet& keep) {
  RandomStep step{differentiate(forward, keep), {}};
  lower(step.program, this_card());
  step.plan = plan_memory(step.program);
  verify(step.program, step.plan);
  return step;
}

std::unique_ptr<Executor> loaded(const RandomStep& step, bool as_graphs) {
  std::unique_ptr<Executor> executor = make_executor(step.program, step.plan, this_card(), {.eager = !as_graphs});
  executor->initialise(3);
  const auto vocabulary = static_cast<int>(step.program.state(step.program.find_state("model.table")).type.shape[0]);
  std::mt19937 random(5);
  for (const char* name : {"tokens", "targets"}) {
    const StateId id = step.program.find_state(name);
    std::vector<std::int32_t> numbers(static_cast<std::size_t>(step.program.state(id).type.shape.elements()));
    for (std::int32_t& number : numbers) number = std::uniform_int_distribution(0, vocabulary - 1)(random);
    executor->write(id, std::as_bytes(std::span(numbers)));
  }
  return executor;
}

std::vector<std::byte> gradients_after_a_step(const RandomStep& step, bool as_graphs) {
  const std::unique_ptr<Executor> executor = loaded(step, as_graphs);
  executor->step(0);
  std::vector<std::byte> all;
  for (const StateId id : step.program.states_of(StateKind::gradient)) {
    std::vector<std::byte> bytes(static_cast<std::size_t>(step.program.state(id).type.size_bytes()));
    executor->read(id, bytes);
    all.insert(all.end(), bytes.begin(), bytes.end());
  }
  return all;
}

TEST(CudaLaws, random_programs_use_what_was_planned_and_no_keep_set_changes_a_bit) {
  const int programs = all() ? 60 : 6;
  for (int trial = 0; trial < programs; ++trial) {
    SCOPED_TRACE(trial);
    std::mt19937 random(static_cast<unsigned>(trial) + 100);
    Program forward = random_forward(random);
    for (State& state : forward.states)
      if (state.kind == StateKind::parameter) state.initial = {Initial::Law::normal, 0.5};  // zeros would hide errors
    const RandomStep kept = random_step(forward, keepable(forward)),
                     repeated = random_step(forward, random_keep(forward, random));
    const std::vector<std::byte> expected = gradients_after_a_step(kept, false);
    ASSERT_GT(std::count_if(expected.begin(), expected.end(), [](std::byte b) { return b != std::byte{0}; }), 0);
    EXPECT_EQ(gradients_after_a_step(repeated, false), expected);
    EXPECT_EQ(gradients_after_a_step(repeated, true), expected);
#ifndef __CUDACC__
    const std::size_t before = host_simt::counts().live_bytes;
    const std::unique_ptr<Executor> executor = loaded(repeated, true);
    const auto taken = static_cast<std::int64_t>(host_simt::counts().live_bytes - before);
    EXPECT_EQ(taken, state_bytes(repeated.program).total() + repeated.plan.arena_bytes);
    const Executor::UsedBytes used = executor->measure_used_bytes(0);
    EXPECT_THAT(used.differences, ::testing::IsEmpty());
    EXPECT_EQ(used.arena, repeated.plan.arena_bytes);
    EXPECT_EQ(used.largest_live, repeated.plan.largest_live_bytes);
#endif
  }
}

}  // namespace
}  // namespace stepscope::testing
