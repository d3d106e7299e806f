// Prices of what is not kept: each is what planning again without exactly those values gives.
#include "model/training/prices.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "model/program/copy_schedule.h"

namespace stepscope {
namespace {

Card some_card() {
  return {.name = "some card", .fp32_flops = 2e13, .bf16_flops = 2e14, .bandwidth = 1e12, .memory_bytes = 1ll << 34};
}

Machine multiplies_bf16() {
  Machine machine;
  machine.native_bf16 = true;
  return machine;
}

class PricesOf : public ::testing::TestWithParam<const char*> {
 protected:
  ModelSettings model = resolved(preset_named(GetParam()).model);
  TrainingSettings training{.global_batch = 8, .sequence = 32, .optimizer = "adam"};
  StepRecipe recipe{.compute = DType::bf16, .micro_steps = 2};
  Machine machine = multiplies_bf16();
  Prices prices = checkpointing_prices(model, training, recipe, machine, {}, {.ceilings = some_card()});
};

TEST_P(PricesOf, each_is_reproduced_by_planning_without_exactly_those_values) {
  const double whole_ns = prices.step_ns;
  ASSERT_GE(prices.rows.size(), 12u);
  for (const Price& row : prices.rows) {
    SCOPED_TRACE(row.target);
    StepRecipe without = recipe;
    without.keep = [&](const Program& forward) {
      KeepSet keep = keepable(forward);
      for (const ValueId id : row.dropped) EXPECT_EQ(keep.erase(id), 1u);
      return keep;
    };
    const Step step = build_step(model, training, without, machine);  // verified, as a cell that runs is
    EXPECT_EQ(prices.arena_bytes - step.plan.arena_bytes, row.freed_bytes);
    OperationTimes repeated = roofline_times(step.program, some_card());
    for (std::size_t i = 0; i < repeated.size(); ++i)
      if (step.program.operations[i].phase != Phase::recompute) repeated[i] = 0;
    const double added_ns = step_time_ns(step.program, repeated);
    EXPECT_GT(added_ns, 0);
    EXPECT_NEAR(row.added_ns, added_ns, 1e-9 * whole_ns);
  }
}

// What a machine's operations took in forward is what running them again adds.
TEST_P(PricesOf, times_may_be_measured_ones) {
  recipe.keep = keepable;
  const Step whole = build_step(model, training, recipe, machine);
  TimeModel measured{.ceilings = some_card()};
  for (const TimedWork& row : counted_work(whole.program))
    measured.operations.push_back({.work = row.work,
                                   .time_ns = 1e3 + static_cast<double>(row.work.bytes % 991),
                                   .floor_ns = floor_ns(some_card(), row.work),
                                   .runs = row.count});
  const Prices by_measured = checkpointing_prices(model, training, recipe, machine, {}, measured);
  EXPECT_NEAR(by_measured.step_ns, step_time_ns(whole.program, calibrated_times(whole.program, measured)), 1);
  ASSERT_EQ(by_measured.rows.size(), prices.rows.size());
  for (const Price& row : by_measured.rows) {
    const auto roofline = std::find_if(prices.rows.begin(), prices.rows.end(),
                                       [&](const Price& other) { return other.target == row.target; });
    ASSERT_NE(roofline, prices.rows.end());
    EXPECT_EQ(row.freed_bytes, roofline->freed_bytes);  // bytes do not depend on times
    EXPECT_GE(row.added_ns, 1e3 * static_cast<double>(recipe.micro_steps) - 1) << row.target;  // a run each micro-step
  }
}

TEST_P(PricesOf, the_cheapest_stand_first_and_what_is_dominated_names_by_what) {
  const auto dearer = [](const Price& a, const Price& b) { return a.ns_per_gib() > b.ns_per_gib(); };
  EXPECT_EQ(std::adjacent_find(prices.rows.begin(), prices.rows.end(), dearer), prices.rows.end());
  for (const Price& row : prices.rows) {
    EXPECT_EQ(std::isinf(row.ns_per_gib()), row.freed_bytes <= 0) << row.target;
    const auto better = [&](const Price& other) {
      return other.freed_bytes >= row.freed_bytes && other.added_ns <= row.added_ns &&
             (other.freed_bytes > row.freed_bytes || other.added_ns < row.added_ns);
    };
    EXPECT_EQ(std::any_of(prices.rows.begin(), prices.rows.end(), better), !row.dominated_by.empty()) << row.target;
    if (row.dominated_by.empty()) continue;
    EXPECT_TRUE(std::any_of(prices.rows.begin(), prices.rows.end(), [&](const Price& other) {
      return other.target == row.dominated_by && better(other);
    })) << row.target;
  }
}

TEST_P(PricesOf, of_offload_are_reproduced_by_sending_exactly_those_values) {
  for (const Price& row : prices.rows) EXPECT_FALSE(row.offload) << "no link is known";
  Card linked = some_card();
  linked.host_bandwidth = 1e10;
  machine.rates = linked;
  const Prices with_link = checkpointing_prices(model, training, recipe, machine, {}, {.ceilings = linked});
  ASSERT_EQ(with_link.rows.size(), prices.rows.size());
  for (const Price& row : with_link.rows) {
    SCOPED_TRACE(row.target);
    ASSERT_TRUE(row.offload);
    StepRecipe sending = recipe;
    sending.offload.values = {row.sent.begin(), row.sent.end()};
    const Step step = build_step(model, training, sending, machine);  // verified
    EXPECT_EQ(row.offload->freed_bytes, with_link.arena_bytes - step.plan.arena_bytes);
    EXPECT_EQ(row.offload->host_bytes, step.plan.host_arena_bytes);
    EXPECT_GT(row.offload->host_bytes, 0);
    const OperationTimes times = roofline_times(step.program, linked);
    EXPECT_NEAR(row.offload->added_ns, copy_wait_ns(step.program, times), 1e-6 * with_link.step_ns);
  }
}

// Fused attention keeps no scores: to run it again frees a number a row and head, and costs the whole of it.
TEST(PricesOfAttention, fused_it_is_the_wrong_thing_to_recompute) {
  const TrainingSettings training{.global_batch = 8, .sequence = 128, .optimizer = "adam"};
  const Prices prices =
      checkpointing_prices(resolved(preset_named("seed-small").model), training, {.compute = DType::bf16},
                           multiplies_bf16(), {}, {.ceilings = some_card()});
  const auto row = std::find_if(prices.rows.begin(), prices.rows.end(),
                                [](const Price& price) { return price.target == "attention"; });
  ASSERT_NE(row, prices.rows.end());
  EXPECT_LT(row->freed_bytes, prices.arena_bytes / 50);
  EXPECT_GT(row->ns_per_gib(), 10 * prices.rows.front().ns_per_gib());
  EXPECT_FALSE(row->dominated_by.empty());
}

INSTANTIATE_TEST_SUITE_P(Presets, PricesOf, ::testing::Values("tiny", "gpt2-tiny", "llama-tiny"), [](const auto& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace stepscope
