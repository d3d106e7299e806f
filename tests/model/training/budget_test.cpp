// What a byte budget promises, for every preset family: never above it, never slower with more bytes, never slower than a preset that fits.
#include "model/training/budget.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "model/base/error.h"

namespace stepscope {
namespace {

Machine some_machine() {
  Machine machine;
  machine.native_bf16 = true;
  machine.memory_bytes = 1ll << 36;
  machine.context_bytes = 100 << 20;
  machine.copies_states = true;
  machine.rates = {.name = "some card", .fp32_flops = 2e13, .bf16_flops = 2e14, .bandwidth = 1e12};
  return machine;
}

struct Family {
  const char* preset;
  std::vector<std::string> mask = {"causal"};
  bool tied = false;
  std::int64_t chunks = 1;
};

class BudgetOf : public ::testing::TestWithParam<Family> {
 protected:
  ModelSettings model = [] {
    ModelSettings settings = preset_named(GetParam().preset).model;
    settings.layers = 4;
    settings.max_sequence = 64;
    settings.mask = GetParam().mask;
    settings.tied_head = GetParam().tied;
    return resolved(settings);
  }();
  TrainingSettings training{.global_batch = 4, .sequence = 64};
  StepRecipe recipe{.compute = DType::bf16, .micro_steps = 2, .logits_chunks = GetParam().chunks};
  Machine machine = some_machine();
  BudgetFrontier frontier{model, training, recipe, machine};
};

// The peak and the time of the step that a choice builds.
std::pair<std::int64_t, double> built(const Step& step, const Machine& machine) {
  return {state_bytes(step.program).total() + step.plan.arena_bytes,
          step_time_ns(step.program, roofline_times(step.program, machine.rates))};
}

TEST_P(BudgetOf, a_thousand_budgets_are_kept_and_more_bytes_are_never_slower) {
  const auto& members = frontier.members();
  const std::int64_t least = frontier.planned_peak(members.back()), most = frontier.planned_peak(members.front());
  ASSERT_LT(least, most);
  std::mt19937_64 random(5);
  std::map<std::int64_t, std::pair<std::int64_t, double>> chosen;  // by budget
  for (int i = 0; i < 1000; ++i) {
    const std::int64_t bytes = std::uniform_int_distribution<std::int64_t>(least, most + (most - least) / 8)(random);
    const BudgetChoice choice =
        frontier.choose({.of = MemoryBudget::Of::bytes, .bytes = bytes + machine.context_bytes});
    ASSERT_EQ(choice.limit_bytes, bytes);
    const KeepSet keep = choice.recipe.keep({});
    const auto was_chosen = [&](const FrontierMember& m) {
      return m.logits_chunks == choice.logits_chunks && m.keep == keep;
    };
    const auto member = std::ranges::find_if(members, was_chosen);
    ASSERT_NE(member, members.end());
    chosen[bytes] = {frontier.planned_peak(*member), member->step_ns};
  }
  std::pair<std::int64_t, double> before{0, std::numeric_limits<double>::infinity()};
  for (const auto& [bytes, now] : chosen) {
    EXPECT_LE(now.first, bytes);
    EXPECT_GE(now.first, before.first);
    EXPECT_LE(now.second, before.second);
    before = now;
    for (const FrontierMember& preset : frontier.dominated()) {
      if (frontier.planned_peak(preset) > bytes) continue;
      EXPECT_LE(now.second, preset.step_ns * (1 + 1e-9)) << preset.name;
    }
  }
}

TEST_P(BudgetOf, the_step_that_is_built_is_the_member_that_was_chosen) {
  const auto& members = frontier.members();
  for (const std::size_t i : {std::size_t{0}, members.size() / 2, members.size() - 1}) {
    StepRecipe budgeted = recipe;
    budgeted.budget = {.of = MemoryBudget::Of::bytes,
                       .bytes = frontier.planned_peak(members[i]) + machine.context_bytes};
    const Step step = build_step(model, training, budgeted, machine);
    const auto [peak, ns] = built(step, machine);
    ASSERT_TRUE(step.budget);
    EXPECT_EQ(peak, frontier.planned_peak(members[i]));
    EXPECT_NEAR(ns, members[i].step_ns, 1e-6 * ns);
    EXPECT_EQ(step.budget->limit_bytes, peak);
    budgeted.budget->bytes -= 1;
    const Step less = build_step(model, training, budgeted, machine);
    if (i + 1 < members.size())
      EXPECT_LT(built(less, machine).first, peak);
    else  // the smallest there is, for the caller to find too large
      EXPECT_GT(built(less, machine).first, less.budget->limit_bytes);
  }
}

INSTANTIATE_TEST_SUITE_P(Families, BudgetOf,
                         ::testing::Values(Family{"tiny"}, Family{"tiny", {"causal", "padding"}, true},
                                           Family{"seed-small", {}, false, 4}, Family{"llama-tiny"},
                                           Family{"qwen3-tiny", {"causal"}, true, 0}));

TEST(Budget, shares_and_the_whole_device_are_what_they_say) {
  const ModelSettings model = resolved(preset_named("tiny").model);
  const TrainingSettings training{.global_batch = 4, .sequence = 32};
  const BudgetFrontier frontier(model, training, {}, some_machine());
  const Step whole = build_step(model, training, {}, some_machine());
  const std::int64_t states = state_bytes(whole.program).total();
  EXPECT_EQ(frontier.limit_bytes({.of = MemoryBudget::Of::share, .share = 1}), states + whole.plan.arena_bytes);
  EXPECT_EQ(frontier.limit_bytes({.of = MemoryBudget::Of::share, .share = 0.5}), states + whole.plan.arena_bytes / 2);
  EXPECT_EQ(frontier.limit_bytes({}), (1ll << 36) - (100 << 20) - states - (64 << 20));  // held twice
  EXPECT_EQ(frontier.limit_bytes({.of = MemoryBudget::Of::bytes, .bytes = 1 << 30}), (1 << 30) - (100 << 20));
}

TEST(Budget, more_chunks_than_rows_are_refused) {
  const StepRecipe recipe{.budget = MemoryBudget{}, .logits_chunks = 257};
  EXPECT_THROW(static_cast<void>(build_step(resolved(preset_named("tiny").model), {.global_batch = 8, .sequence = 32},
                                            recipe, some_machine())),
               UsageError);
}

TEST(Budget, open_chunks_need_a_budget) {
  EXPECT_THROW(static_cast<void>(build_step(resolved(preset_named("tiny").model), {.global_batch = 4, .sequence = 32},
                                            {.logits_chunks = 0}, some_machine())),
               UsageError);
}

TEST(Budget, of_a_large_vocabulary_opens_the_logits_before_it_repeats_much) {
  ModelSettings model = preset_named("tiny").model;
  model.vocabulary = 8000;
  const BudgetFrontier whole(resolved(model), {.global_batch = 8, .sequence = 32}, {}, some_machine());
  const BudgetFrontier open(resolved(model), {.global_batch = 8, .sequence = 32}, {.logits_chunks = 0}, some_machine());
  EXPECT_LT(open.members().back().peak_bytes, whole.members().back().peak_bytes);
  EXPECT_GT(open.members().back().logits_chunks, 1);
}

class BudgetsWithOffload : public ::testing::Test {
 protected:
  BudgetsWithOffload() {
    machine.rates.host_bandwidth = 3e10;
    recipe.offload.targets = {"TransformerBlock"};
    model.layers = 3;
    model = resolved(model);
  }
  ModelSettings model = preset_named("gpt2-tiny").model;
  TrainingSettings training{.global_batch = 4, .sequence = 32};
  StepRecipe recipe{.compute = DType::bf16};
  Machine machine = some_machine();
};

TEST_F(BudgetsWithOffload, know_keeping_repeating_and_sending_away_and_are_built_as_they_say) {
  const BudgetFrontier frontier(model, training, recipe, machine);
  StepRecipe repeating = recipe;
  repeating.offload = {};
  const BudgetFrontier without(model, training, repeating, machine);
  bool sends = false;
  for (const FrontierMember& member : frontier.members()) {
    sends = sends || !member.on_host.empty();
    const Step step = build_step(model, training, frontier.recipe_of(member), machine);
    const auto [peak, ns] = built(step, machine);
    EXPECT_EQ(peak, frontier.planned_peak(member));
    EXPECT_GE(peak, member.peak_bytes);
    EXPECT_NEAR(ns, member.step_ns, 1e-9 * ns);
  }
  EXPECT_TRUE(sends);
  // A third fate is never worse than two.
  for (const FrontierMember& two : without.members()) {
    const auto fits = [&](const FrontierMember& member) { return member.peak_bytes <= two.peak_bytes; };
    const auto three = std::ranges::find_if(frontier.members(), fits);
    ASSERT_NE(three, frontier.members().end());
    EXPECT_LE(three->step_ns, two.step_ns * (1 + 1e-9));
  }
}

TEST_F(BudgetsWithOffload, count_states_of_the_host_as_none_of_the_cards) {
  recipe.offload = {};
  const BudgetFrontier plain(model, training, recipe, machine);
  recipe.offload.moments = recipe.offload.masters = true;
  const BudgetFrontier moved(model, training, recipe, machine);
  for (const FrontierMember& member : moved.members()) {
    const Step step = build_step(model, training, moved.recipe_of(member), machine);
    EXPECT_EQ(built(step, machine).first, moved.planned_peak(member));
    EXPECT_GT(state_bytes(step.program).host, 0);
  }
  EXPECT_LT(moved.members().back().peak_bytes, plain.members().back().peak_bytes);
  EXPECT_GT(moved.members().front().step_ns, plain.members().front().step_ns);
}

TEST_F(BudgetsWithOffload, need_to_know_the_link) {
  machine.rates.host_bandwidth = 0;
  for (const FrontierMember& member : BudgetFrontier(model, training, recipe, machine).members())
    EXPECT_TRUE(member.on_host.empty() || !member.name.empty()) << "chosen by nothing";
  try {
    recipe.budget = MemoryBudget{};
    (void)build_step(model, training, recipe, machine);
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("offload = activations:TransformerBlock"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("host_bandwidth"), std::string::npos);
  }
}

}  // namespace
}  // namespace stepscope
