// What a keep-set is said to cost is what its step costs, differentiated, lowered and planned.
#include "model/program/keep_set_cost.h"

#include <gtest/gtest.h>

#include <random>

#include "model/program/memory_plan.h"
#include "model/training/step_program.h"
#include "tests/support/programs.h"

namespace stepscope {
namespace {

using testing::random_keep;

Card some_card() {
  return {.name = "some card", .fp32_flops = 2e13, .bf16_flops = 2e14, .fp16_flops = 2e14, .bandwidth = 1e12};
}

double repeated_ns(const Program& program) {
  const OperationTimes times = roofline_times(program, some_card());
  double sum = 0;
  for (std::size_t i = 0; i < times.size(); ++i)
    if (program.operations[i].phase == Phase::recompute) sum += times[i];
  return sum;
}

void expect_same(const KeepSetCost& cost, const Program& step, const KeepSet& keep) {
  const KeepSetCost::Cost said = cost.of(keep);
  EXPECT_EQ(said.largest_sum_bytes, plan_memory(step).largest_sum_bytes);
  EXPECT_NEAR(said.repeated_ns, repeated_ns(step), 1e-9 * (1 + said.repeated_ns));
}

TEST(KeepSetCost, is_what_a_random_programs_step_costs) {
  std::mt19937 random(11);
  for (int i = 0; i < 150; ++i) {
    SCOPED_TRACE(i);
    const Program forward = testing::random_forward(random);
    const Program step = differentiate(forward, keepable(forward));
    const KeepSetCost cost(forward, step, roofline_times(step, some_card()));
    for (int j = 0; j < 4; ++j) {
      const KeepSet keep = random_keep(forward, random);
      expect_same(cost, differentiate(forward, keep), keep);
    }
  }
}

class KeepSetCostOf : public ::testing::TestWithParam<const char*> {};

TEST_P(KeepSetCostOf, is_what_its_step_costs_with_workspaces_and_pieces) {
  std::mt19937 random(12);
  const Preset& preset = preset_named(GetParam());
  for (const DType compute : {DType::fp32, DType::bf16})
    for (const std::int64_t chunks : {1, 3})
      for (const char* attention : {"fused", "materialised"}) {
        ModelSettings model = preset.model;
        model.attention = attention;
        model.mask = {"causal", "padding"};
        const StepPlanner planner(resolved(model), {.global_batch = 4, .sequence = 32, .clip = 1},
                                  {.compute = compute, .micro_steps = 2, .logits_chunks = chunks}, Machine{});
        const Program step = planner.lowered(keepable(planner.forward()));
        const KeepSetCost cost(planner.forward(), step, roofline_times(step, some_card()));
        for (int i = 0; i < 6; ++i) {
          const KeepSet keep = random_keep(planner.forward(), random);
          expect_same(cost, planner.lowered(keep), keep);
        }
      }
}

INSTANTIATE_TEST_SUITE_P(Families, KeepSetCostOf, ::testing::Values("tiny", "llama-tiny", "qwen3-tiny"));

}  // namespace
}  // namespace stepscope
