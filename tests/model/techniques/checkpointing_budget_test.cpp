// The frontier against every keep-set there is, and against its own promises on deep chains.
#include "model/techniques/checkpointing_budget.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstdlib>
#include <limits>
#include <map>

#include "model/program/memory_plan.h"
#include "model/techniques/checkpointing.h"
#include "model/techniques/checkpointing_chain.h"
#include "model/training/step_program.h"

namespace stepscope {
namespace {

Card some_card() {
  return {.name = "some card", .fp32_flops = 2e13, .bf16_flops = 2e14, .fp16_flops = 2e14, .bandwidth = 1e12};
}

struct Steps {
  StepPlanner planner;
  Program step = planner.lowered(keepable(planner.forward()));
  OperationTimes times = roofline_times(step, some_card());
};

Machine native() {
  Machine machine;
  machine.native_bf16 = true;
  return machine;
}

Steps steps_of(const char* preset, int layers, std::int64_t sequence, DType compute, std::int64_t rows = 2) {
  const Preset& p = preset_named(preset);
  ModelSettings model = p.model;
  model.layers = layers;
  model.max_sequence = sequence;
  return {StepPlanner(resolved(model), {.global_batch = rows, .sequence = sequence}, {.compute = compute}, native())};
}

// The cheapest keep-set for each number of bytes, of all there are: groups of values that one operation makes.
std::vector<std::pair<std::int64_t, double>> every_trade(const Steps& steps) {
  const Program& forward = steps.planner.forward();
  const KeepSet all = keepable(forward);
  std::vector<std::vector<ValueId>> groups;
  for (const Operation& op : forward.operations) {
    std::vector<ValueId> group;
    std::ranges::copy_if(op.outs, std::back_inserter(group), [&](ValueId id) { return all.contains(id); });
    if (!group.empty()) groups.push_back(group);
  }
  const KeepSetCost cost(forward, steps.step, steps.times);
  KeepSetCost::Kept kept = cost.kept(all);
  std::map<std::int64_t, double> cheapest;
  for (std::uint64_t code = 0; code < std::uint64_t{1} << groups.size(); ++code) {
    if (code > 0)  // a Gray code: one group changes at a time
      for (const ValueId id : groups[static_cast<std::size_t>(std::countr_zero(code))])
        kept[static_cast<std::size_t>(cost.number(id))] ^= 1;
    const KeepSetCost::Cost now = cost.of(kept);
    const auto [found, fresh] = cheapest.try_emplace(now.largest_sum_bytes, now.repeated_ns);
    if (!fresh) found->second = std::min(found->second, now.repeated_ns);
  }
  std::vector<std::pair<std::int64_t, double>> trades;  // by bytes, rising; only what is cheaper than all with fewer
  for (const auto& [bytes, ns] : cheapest)
    if (trades.empty() || ns < trades.back().second * (1 - 1e-9)) trades.emplace_back(bytes, ns);
  return trades;
}

void expect_every_trade(const Steps& steps) {
  const std::vector<std::pair<std::int64_t, double>> trades = every_trade(steps);
  std::vector<FrontierPoint> points =
      checkpointing_frontier(steps.planner.forward(), steps.step, steps.times, std::numeric_limits<int>::max());
  std::ranges::reverse(points);
  ASSERT_EQ(points.size(), trades.size());
  for (std::size_t i = 0; i < trades.size(); ++i) {
    EXPECT_EQ(points[i].largest_sum_bytes, trades[i].first) << i;
    EXPECT_NEAR(points[i].repeated_ns, trades[i].second, 1e-6 * (1 + trades[i].second)) << i;
  }
}

TEST(CheckpointingFrontier, of_one_block_is_every_trade_there_is) {
  for (const char* preset : {"tiny", "gpt2-124m", "llama-tiny", "qwen3-tiny"})
    for (const DType compute : {DType::fp32, DType::bf16}) {
      SCOPED_TRACE(preset);
      expect_every_trade(steps_of(preset, 1, 512, compute));
    }
}

TEST(CheckpointingFrontier, of_two_blocks_is_every_trade_there_is) {
  if (std::getenv("STEPSCOPE_FULL") == nullptr) return expect_every_trade(steps_of("tiny", 2, 64, DType::bf16));
  for (const char* preset : {"seed", "gpt2-124m", "llama-tiny"})
    for (const DType compute : {DType::fp32, DType::bf16})
      for (const std::int64_t sequence : {512, 4096}) {
        SCOPED_TRACE(std::string(preset) + " " + std::to_string(sequence));
        expect_every_trade(steps_of(preset, 2, sequence, compute));
      }
}

TEST(CheckpointingFrontier, of_a_deep_chain_falls_in_bytes_as_it_rises_in_time) {
  const Steps steps = steps_of("seed", 12, 512, DType::bf16, 16);
  const std::vector<FrontierPoint> points = checkpointing_frontier(steps.planner.forward(), steps.step, steps.times);
  EXPECT_GT(points.size(), 80u);
  EXPECT_EQ(points.front().keep, keepable(steps.planner.forward()));
  const KeepSetCost cost(steps.planner.forward(), steps.step, steps.times);
  for (std::size_t i = 1; i < points.size(); ++i) {
    EXPECT_LT(points[i].largest_sum_bytes, points[i - 1].largest_sum_bytes);
    EXPECT_GT(points[i].repeated_ns, points[i - 1].repeated_ns);
  }
  // At the bytes of checkpointing whole blocks it repeats at least a quarter less.
  const KeepSetCost::Cost blocks = cost.of(keep_outside(steps.planner.forward(), {"TransformerBlock"}));
  const auto fits = [&](const FrontierPoint& point) { return point.largest_sum_bytes <= blocks.largest_sum_bytes; };
  const auto chosen = std::ranges::find_if(points, fits);
  ASSERT_NE(chosen, points.end());
  EXPECT_LT(chosen->repeated_ns, 0.75 * blocks.repeated_ns);
}

}  // namespace
}  // namespace stepscope
