// The frontier against every keep-set there is, and against its own promises on deep chains.
#include "model/techniques/checkpointing_budget.h"

#include <gtest/gtest.h>

#include <chrono>
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

TEST(CheckpointingFrontier, look) {
  for (const char* preset : {"seed"}) {
    const auto begin = std::chrono::steady_clock::now();
    const Steps steps = steps_of(preset, preset_named(preset).model.layers, 512, DType::bf16, 16);
    const auto built = std::chrono::steady_clock::now();
    const KeepSetCost cost(steps.planner.forward(), steps.step, steps.times);
    const CheckpointingChain chain(steps.planner.forward(), cost);
    std::printf("chain %.3f s, %d elements:", std::chrono::duration<double>(std::chrono::steady_clock::now() - built).count(), chain.size());
    for (int e = 0; e < chain.size(); ++e) std::printf(" %zu", chain.segments(e).size());
    std::printf("\n"); std::fflush(stdout);
    {
      const KeepSet block = keep_outside(steps.planner.forward(), {"TransformerBlock"});
      const auto c = cost.of(block);
      std::printf("block %.3f MiB %.2f%%\n", c.largest_sum_bytes / 1048576., 100 * c.repeated_ns / step_time_ns(steps.step, steps.times));
      for (const Segment& s : chain.segments(1))
        std::printf("  seg %d elements %lx r %.3f w %.3f c %.4f\n", s.elements, s.dropped, s.kept_bytes / 1048576., s.largest_bytes / 1048576., s.repeated_ns * 1e-6);
      for (int e = 22; e < 27; ++e) 
      for (const Segment& s : chain.segments(e))
        std::printf("  %d seg %d elements %lx r %.3f w %.3f c %.4f\n", e, s.elements, s.dropped, s.kept_bytes / 1048576., s.largest_bytes / 1048576., s.repeated_ns * 1e-6);
    }
    const auto points = checkpointing_frontier(steps.planner.forward(), steps.step, steps.times);
    const auto end = std::chrono::steady_clock::now();
    double all = step_time_ns(steps.step, steps.times);
    std::printf("%s: %zu points, build %.3f s, frontier %.3f s, %.1f MiB..%.1f MiB, repeats to %.1f%%\n", preset, points.size(),
                std::chrono::duration<double>(built - begin).count(), std::chrono::duration<double>(end - built).count(),
                points.front().largest_sum_bytes / 1048576., points.back().largest_sum_bytes / 1048576.,
                100 * points.back().repeated_ns / all);
    for (const auto& p : points) {
      if (std::string(preset) == "seed" && &p - points.data() < 400 && (&p - points.data()) % 10 == 0)
        std::printf("   %.2f MiB %.3f%%\n", p.largest_sum_bytes / 1048576., 100 * p.repeated_ns / all);
    }
  }
}

}  // namespace
}  // namespace stepscope
