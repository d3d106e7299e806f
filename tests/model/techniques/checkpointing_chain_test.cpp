// Segments measured alone and joined are what the whole step needs.
#include "model/techniques/checkpointing_chain.h"

#include <gtest/gtest.h>

#include <random>

#include "model/training/step_program.h"

namespace stepscope {
namespace {

Card some_card() {
  return {.name = "some card", .fp32_flops = 2e13, .bf16_flops = 2e14, .fp16_flops = 2e14, .bandwidth = 1e12};
}

class ChainOf : public ::testing::TestWithParam<const char*> {};

TEST_P(ChainOf, any_segments_joined_are_what_the_whole_step_needs) {
  std::mt19937 random(3);
  for (const DType compute : {DType::fp32, DType::bf16})
    for (const std::int64_t chunks : {1, 4}) {
      ModelSettings model = preset_named(GetParam()).model;
      model.layers = 2;
      model.max_sequence = 64;
      const StepPlanner planner(resolved(model), {.global_batch = 2, .sequence = 64},
                                {.compute = compute, .logits_chunks = chunks}, Machine{});
      const Program step = planner.lowered(keepable(planner.forward()));
      const KeepSetCost cost(planner.forward(), step, roofline_times(step, some_card()));
      const CheckpointingChain chain(planner.forward(), cost);
      for (int i = 0; i < 8; ++i) {
        KeepSet keep = keepable(planner.forward());
        std::int64_t kept_bytes = 0, largest = 0;
        double repeated_ns = 0;
        std::string path;
        for (int e = 0; e < chain.size();) {
          const std::vector<Segment>& menu = chain.segments(e);
          const Segment& segment = menu[std::uniform_int_distribution<std::size_t>(0, menu.size() - 1)(random)];
          chain.drop(e, segment, keep);
          largest = std::max(largest, kept_bytes + segment.largest_bytes);
          kept_bytes += segment.kept_bytes;
          repeated_ns += segment.repeated_ns;
          path += " " + std::to_string(e) + ":" + std::to_string(segment.dropped);
          e += segment.elements;
        }
        SCOPED_TRACE(path);
        const KeepSetCost::Cost whole = cost.of(keep);
        EXPECT_EQ(largest, whole.largest_sum_bytes);
        EXPECT_NEAR(repeated_ns, whole.repeated_ns, 1e-6);
      }
    }
}

INSTANTIATE_TEST_SUITE_P(Families, ChainOf, ::testing::Values("tiny", "gpt2-124m", "llama-tiny", "qwen3-tiny"));

}  // namespace
}  // namespace stepscope
