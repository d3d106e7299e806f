// The advice is what planning and timing every mix finds; measurements correct it only where they can tell.
#include "harness/advise.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "harness/advise_measure.h"
#include "harness/matrix.h"
#include "harness/planned.h"
#include "model/cpu/machine.h"
#include "model/techniques/checkpointing.h"

namespace stepscope {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

MatrixCell base_of(const std::string& preset, const std::vector<std::string>& sets = {}) {
  return matrix_of(overrides_of(sets, preset, "")).cells.front();
}

AdviceRequest request_on(const char* card_name, std::int64_t budget_bytes) {
  const CardFile card = find_card(card_name);
  return {.machine = simulated(this_cpu(1), card.card),
          .fit = {.memory = {.name = "budget", .bytes = budget_bytes}},
          .times = roofline_source(card.card, "roofline"),
          .runners_up = 3};
}

// Every mix there is, one by one, without any order or bound.
std::vector<Mix> all_mixes(const MatrixCell& base, const AdviceRequest& request) {
  const Adviser adviser(base, request);
  std::vector<Mix> mixes;
  const std::int64_t rows = base.configuration.training.global_batch;
  for (const char* precision : {"fp32", "bf16"})
    for (std::int64_t accumulation = 1; accumulation <= rows; accumulation *= 2)
      for (std::int64_t chunks = 1; chunks <= 64; chunks *= 2) {
        TechniqueValues values{
            {"precision", std::string(precision)}, {"accumulation", accumulation}, {"logits_chunks", chunks}};
        const MatrixCell cell = adviser.cell_of(values);
        if (chunks > rows / accumulation * cell.configuration.training.sequence) continue;
        const StepPlanner planner = planner_of_cell(cell, request.machine);
        for (const CheckpointingChoice& choice : named_checkpointing(planner.forward())) {
          const Step step = planner.planned(choice.keep);
          Mix mix{.values = values, .step_ns = request.times.step_ns(step.program)};
          mix.values["checkpointing"] = choice.value;
          mix.needs = {.state_bytes = state_bytes(step.program).total(), .arena_bytes = step.plan.arena_bytes};
          mixes.push_back(std::move(mix));
        }
      }
  return mixes;
}

// How many techniques a mix turns on, then into how many parts it cuts: fewer is plainer.
std::pair<int, std::int64_t> burden_of(const TechniqueValues& values) {
  const auto at = [&](const char* name) { return values.at(name); };
  const int on = (at("precision") == Choice(std::string("fp32")) ? 0 : 1) + (at("accumulation") == Choice(1L) ? 0 : 1) +
                 (at("logits_chunks") == Choice(1L) ? 0 : 1) +
                 (at("checkpointing") == Choice(std::string("none")) ? 0 : 1);
  return {on, std::get<std::int64_t>(at("accumulation")) * std::get<std::int64_t>(at("logits_chunks"))};
}

// Predictions do not tell times apart that are within 2 %.
TEST(Adviser, the_answer_is_the_plainest_of_the_fastest_that_fit) {
  for (const char* preset : {"gpt2-tiny"}) {
    const MatrixCell base = base_of(preset, {"global_batch=2"});
    const auto request_with = [](std::int64_t budget) {
      AdviceRequest request = request_on("rtx-4090", budget);
      request.machine.tf32 = false;  // fp32 and bf16 alone: every mix is planned below
      return request;
    };
    const std::vector<Mix> all = all_mixes(base, request_with(1));
    std::vector<std::int64_t> needs;
    for (const Mix& mix : all) needs.push_back(mix.needs.total());
    std::sort(needs.begin(), needs.end());
    for (const std::size_t at : {std::size_t{0}, needs.size() / 50, needs.size() / 4}) {
      const std::int64_t budget = needs[at];
      const Advice advice = Adviser(base, request_with(budget)).search();
      double fastest = std::numeric_limits<double>::infinity();
      for (const Mix& mix : all)
        if (mix.needs.total() <= budget) fastest = std::min(fastest, mix.step_ns);
      std::pair<int, std::int64_t> plainest{1000, 0};
      for (const Mix& mix : all)
        if (mix.needs.total() <= budget && mix.step_ns <= 1.02 * fastest)
          plainest = std::min(plainest, burden_of(mix.values));
      ASSERT_FALSE(advice.mixes.empty()) << preset << " " << budget;
      EXPECT_LE(advice.mixes.front().step_ns, 1.02 * fastest) << preset << " " << budget;
      EXPECT_EQ(burden_of(advice.mixes.front().values), plainest) << preset << " " << budget;
      for (const Mix& mix : advice.mixes) {
        EXPECT_LE(mix.needs.total(), budget);
        EXPECT_GE(mix.step_ns, fastest);
        EXPECT_EQ(mix.margin_bytes, budget - mix.needs.total());
      }
    }
    const Advice none = Adviser(base, request_with(needs.front() - 1)).search();
    EXPECT_TRUE(none.mixes.empty());
    ASSERT_TRUE(none.smallest);
    EXPECT_LT(none.smallest->margin_bytes, 0);
  }
}

TEST(Adviser, a_budget_of_checkpointing_is_tried_too_and_never_makes_the_answer_slower) {
  const MatrixCell base = base_of("seed-small");
  for (const std::int64_t budget : {std::int64_t{110} << 20, std::int64_t{90} << 20}) {
    AdviceRequest request = request_on("rtx-4090", budget);
    request.pinned = {"accumulation", "precision"};
    const Advice named = Adviser(base, request).search();
    request.budget = "budget:" + std::to_string(budget) + "B";
    const Advice with_budget = Adviser(base, request).search();
    ASSERT_FALSE(named.mixes.empty() || with_budget.mixes.empty()) << budget;
    EXPECT_LE(with_budget.mixes.front().step_ns, 1.02 * named.mixes.front().step_ns);
    EXPECT_LE(with_budget.mixes.front().needs.total(), budget);
  }
}

// Small models too, where a budget in whole MiB would be the same step again.
TEST(Adviser, runners_up_need_less_and_none_comes_twice) {
  for (const char* preset : {"tiny", "gpt2-tiny", "seed-small"}) {
    AdviceRequest request = request_on("l4", std::int64_t{3} << 30);
    request.machine.context_bytes = std::int64_t{1} << 30;
    request.budget = "budget:3GiB";
    const Advice advice = Adviser(base_of(preset), request).search();
    for (std::size_t i = 1; i < advice.mixes.size(); ++i)
      EXPECT_LT(advice.mixes[i].needs.total(), advice.mixes[i - 1].needs.total()) << preset << i;
  }
}

// A budget makes a smaller step than any named value, so no less is said to be lacking than it needs.
TEST(Adviser, what_lacks_is_told_of_the_smallest_step_that_budgets_make) {
  AdviceRequest request = request_on("rtx-4090", 1);
  request.budget = "budget:1B";
  const MatrixCell base = base_of("llama-tiny", {"global_batch=4"});
  const Advice none = Adviser(base, request).search();
  ASSERT_TRUE(none.smallest);
  request.fit.memory.bytes = none.smallest->needs.total();
  request.budget = "budget:" + std::to_string(request.fit.memory.bytes) + "B";
  EXPECT_FALSE(Adviser(base, request).search().mixes.empty());
  request.fit.memory.bytes = none.smallest->needs.total() * 97 / 100;
  request.budget = "budget:" + std::to_string(request.fit.memory.bytes) + "B";
  EXPECT_TRUE(Adviser(base, request).search().mixes.empty());
}

// More chunks than the most micro-steps leave tokens: with fewer micro-steps there still is an answer.
TEST(Adviser, what_lacks_is_told_of_chunks_that_allow_few_micro_steps) {
  AdviceRequest request = request_on("rtx-4090", 1);
  request.pinned = {"logits_chunks"};
  const Advice none = Adviser(base_of("tiny", {"logits_chunks=64"}), request).search();  // 8 rows of 32 tokens
  ASSERT_TRUE(none.smallest);
  EXPECT_EQ(none.smallest->values.at("accumulation"), Choice(std::int64_t{4}));
}

// What the search prunes by.
TEST(Adviser, recomputing_never_makes_a_step_faster) {
  const Card card = find_card("h100-sxm").card;
  for (const char* preset : {"tiny", "gpt2-tiny", "llama-tiny", "qwen3-tiny", "seed-small"}) {
    const StepPlanner planner = planner_of_cell(base_of(preset, {"accumulation=2"}), simulated(this_cpu(1), card));
    const auto ns = [&](const KeepSet& keep) {
      const Program program = planner.lowered(keep);
      return step_time_ns(program, roofline_times(program, card));
    };
    const double whole = ns(keepable(planner.forward()));
    const std::vector<CheckpointingChoice> choices = named_checkpointing(planner.forward());
    EXPECT_GT(choices.size(), 5U) << preset;
    for (const CheckpointingChoice& choice : choices) EXPECT_GE(ns(choice.keep), whole) << to_string(choice.value);
  }
}

TEST(Adviser, a_choice_is_what_checkpointing_makes_of_its_value) {
  const MatrixCell base = base_of("tiny");
  const StepPlanner planner = planner_of_cell(base, this_cpu(1));
  const Program& forward = planner.forward();
  for (const CheckpointingChoice& choice : named_checkpointing(forward)) {
    StepRecipe recipe;
    checkpointing_technique.apply(choice.value, recipe);
    EXPECT_EQ(recipe.keep(forward), choice.keep) << to_string(choice.value);
  }
}

TEST(Adviser, what_is_pinned_stays_and_numerics_are_not_traded) {
  AdviceRequest request = request_on("rtx-4090", std::int64_t{1} << 30);
  request.pinned = {"precision", "checkpointing"};
  Adviser adviser(base_of("tiny", {"precision=fp32", "checkpointing=MLPBlock"}), request);
  const Advice advice = adviser.search();
  ASSERT_FALSE(advice.mixes.empty());
  for (const Mix& mix : advice.mixes) {
    EXPECT_EQ(to_string(mix.values.at("precision")), "fp32");
    EXPECT_EQ(to_string(mix.values.at("checkpointing")), "MLPBlock");
    EXPECT_EQ(to_string(mix.values.at("gradient_precision")), "fp32");
    EXPECT_EQ(to_string(mix.values.at("residual_precision")), "compute");
  }
}

TEST(Adviser, neighbours_differ_in_one_technique_and_fit) {
  Adviser adviser(base_of("tiny"), request_on("rtx-4090", std::int64_t{1} << 30));
  const Mix best = adviser.search().mixes.front();
  const std::vector<Mix> neighbours = adviser.neighbours(best);
  EXPECT_GE(neighbours.size(), 3U);
  for (const Mix& mix : neighbours) {
    int different = 0;
    for (const auto& [name, value] : mix.values) different += value != best.values.at(name) ? 1 : 0;
    EXPECT_EQ(different, 1) << in_words(mix.values);
    EXPECT_TRUE(mix.needs.fits);
  }
}

MeasuredMix measured(const char* id, double predicted, std::optional<StepTime> time) {
  TechniqueValues values{{"checkpointing", std::string("none")},
                         {"accumulation", std::int64_t{1}},
                         {"logits_chunks", std::int64_t{1}},
                         {"precision", std::string(id)},
                         {"residual_precision", std::string("compute")},
                         {"gradient_precision", std::string("fp32")}};
  return {
      .mix = {.values = std::move(values), .step_ns = predicted}, .id = id, .outcome = "ok", .time = std::move(time)};
}

StepTime time_of(double median, double spread) {
  return {.median = median, .low = median - spread, .high = median + spread, .visits = 3};
}

MeasuredMix with_ratio(MeasuredMix row, double low, double high) {
  row.ratio = Interval{.middle = std::sqrt(low * high), .low = low, .high = high, .count = 3};
  return row;
}

TEST(CorrectedAdvice, changes_only_where_the_rounds_tell_two_mixes_apart) {
  const MeasuredMix bf16 = measured("bf16", 4e6, time_of(5e6, 1e5)), fp32 = measured("fp32", 4e6, time_of(4e6, 1e5));
  const MeasuredAdvice stands = corrected({fp32, bf16});
  EXPECT_THAT(stands.sentence, ::testing::AllOf(HasSubstr("use fp32"), HasSubstr("The advice stands")));
  const MeasuredAdvice changed = corrected({bf16, with_ratio(fp32, 0.7, 0.9)});
  EXPECT_THAT(changed.sentence, ::testing::AllOf(HasSubstr("use fp32"), HasSubstr("The advice changed: bf16")));
  EXPECT_EQ(changed.rows.front().id, "fp32");
  const MeasuredAdvice unclear = corrected({bf16, with_ratio(fp32, 0.7, 1.01)});
  EXPECT_THAT(unclear.sentence, ::testing::AllOf(HasSubstr("cannot tell"), HasSubstr("the advice stands: bf16")));
  for (const MeasuredMix& row : {fp32, with_ratio(fp32, 0.5, 2)})  // one round alone has no interval
    EXPECT_THAT(corrected({bf16, row}).sentence, HasSubstr("differ too much to tell"));
  const MeasuredAdvice failed = corrected({measured("bf16", 1e6, std::nullopt), fp32});
  EXPECT_THAT(failed.sentence, ::testing::AllOf(HasSubstr("use fp32"), HasSubstr("has no time")));
  EXPECT_THAT(corrected({measured("bf16", 1e6, std::nullopt)}).sentence, HasSubstr("Nothing could be measured"));
}

TEST(CorrectedAdvice, predictions_that_are_far_off_are_said_to_be) {
  EXPECT_THAT(corrected({measured("fp32", 4e6, time_of(10e6, 1e5))}).sentence, HasSubstr("far off, by 2.5 times"));
  EXPECT_THAT(corrected({measured("fp32", 4e6, time_of(2e6, 1e5))}).sentence, HasSubstr("far off, by 2.0 times"));
  EXPECT_THAT(corrected({measured("fp32", 4e6, time_of(4.4e6, 1e5))}).sentence, Not(HasSubstr("far off")));
}

}  // namespace
}  // namespace stepscope
