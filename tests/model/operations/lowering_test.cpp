// Which operations of a forward pass are one on a machine, and what stays true of a step that has them.
#include "model/operations/lowering.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "model/execution/cpu_executor.h"
#include "model/operations/gelu/gelu.h"
#include "model/operations/linear/linear.h"
#include "model/operations/linear_gelu/linear_gelu.h"
#include "model/program/cost.h"
#include "model/program/print.h"
#include "model/program/verify.h"
#include "model/techniques/checkpointing.h"
#include "model/training/optimizer.h"
#include "tests/support/programs.h"
#include "tests/support/step_run.h"

namespace stepscope::testing {

namespace {

Machine card() {
  Machine machine;
  machine.kind = Machine::Kind::cuda;
  machine.has_kernels = true;
  return machine;
}

int count(const Program& program, const OperationKind& kind) {
  return static_cast<int>(
      std::ranges::count_if(program.operations, [&](const Operation& op) { return op.kind == &kind; }));
}

Program fused_tiny(const std::string& precision, const KeepSet& kept) {
  return fused(forward_of({.precision = precision}), card(), kept);
}

KeepSet all_of_tiny(const std::string& precision = "bf16") { return keepable(forward_of({.precision = precision})); }

// What a budget may keep: g of the first block is made again from u, which is cheap.
KeepSet without_a_gelu(const Program& forward) {
  KeepSet keep = keepable(forward);
  const auto gelu = std::ranges::find_if(forward.operations, [](const Operation& op) { return op.kind == &gelu_kind; });
  keep.erase(gelu->outs[0]);
  return keep;
}

// A step whose forward pass is a card's, run by the CPU machine, which has the same operations.
StepResult run_fused(const StepSetting& s, const Program& forward, const KeepSet& keep) {
  Step step{differentiate(forward, keep), {}, {}};
  append_update(step.program, {});
  lower(step.program, machine_with(1));
  verify(step.program);
  step.plan = plan_memory(step.program);
  verify(step.program, step.plan);
  CpuExecutor executor(step.program, step.plan, machine_with(1));
  return run_step_on(executor, step, s);
}

}  // namespace

TEST(Fusion, joins_each_linear_and_its_gelu_in_narrow_types_on_a_card) {
  const Program forward = forward_of({.precision = "bf16"}), joined = fused_tiny("bf16", all_of_tiny());
  EXPECT_EQ(count(forward, gelu_kind), 2);
  EXPECT_EQ(count(joined, gelu_kind), 0);
  EXPECT_EQ(count(joined, linear_gelu_kind), 2);
  EXPECT_EQ(joined.operations.size(), forward.operations.size() - 2);
  EXPECT_EQ(joined.values.size(), forward.values.size());
  EXPECT_EQ(count(fused_tiny("fp16", all_of_tiny("fp16")), linear_gelu_kind), 2);
  for (const char* wide : {"fp32", "tf32"}) EXPECT_EQ(count(fused_tiny(wide, all_of_tiny()), linear_gelu_kind), 0);
  EXPECT_EQ(count(fused(forward, machine_with(1), all_of_tiny()), linear_gelu_kind), 0);
  EXPECT_EQ(keepable(joined), keepable(forward));
}

TEST(Fusion, leaves_apart_what_has_no_bias_and_what_is_read_twice) {
  Program forward = forward_of({.precision = "bf16"});
  for (Operation& op : forward.operations)
    if (op.kind == &linear_kind && forward.site(op.site).path == "blocks.0.mlp.up") op.ins.pop_back();
  EXPECT_EQ(count(fused(forward, card(), keepable(forward)), linear_gelu_kind), 1);
  forward = forward_of({.precision = "bf16"});
  const auto gelu = std::ranges::find_if(forward.operations, [](const Operation& op) { return op.kind == &gelu_kind; });
  forward.operations.insert(forward.operations.begin() + (gelu - forward.operations.begin()), *gelu);
  EXPECT_EQ(count(fused(forward, card(), {}), linear_gelu_kind), 1);
}

TEST(Fusion, needs_one_fate_of_both_outputs) {
  const Program forward = forward_of({.precision = "bf16"});
  const auto joined_for = [&](const std::vector<std::string>& targets) {
    return count(fused(forward, card(), keep_outside(forward, targets)), linear_gelu_kind);
  };
  EXPECT_EQ(joined_for({"MLPBlock"}), 2);
  EXPECT_EQ(joined_for({"TransformerBlock"}), 2);
  EXPECT_EQ(joined_for({"blocks.1.mlp"}), 2);
  EXPECT_EQ(joined_for({"gelu"}), 2);  // what is read outside is kept
  EXPECT_EQ(count(fused(forward, card(), without_a_gelu(forward)), linear_gelu_kind), 1);
}

TEST(Fusion, of_a_gelu_puts_its_slope_into_the_input_gradient_behind_it) {
  const KeepSet all = all_of_tiny();
  const Program step = differentiate(fused_tiny("bf16", all), all);
  EXPECT_EQ(count(step, linear_gelu_input_gradient_kind), 2);
  EXPECT_EQ(count(step, gelu_gradient_kind), 0);
  const Program again = differentiate(fused_tiny("bf16", {}), {});
  EXPECT_EQ(count(again, linear_gelu_kind), 4);  // each made again as it was
  EXPECT_EQ(count(again, linear_kind) + count(again, gelu_kind),
            count(differentiate(forward_of({.precision = "bf16"}), {}), linear_kind) - 4);
}

TEST(Fusion, is_a_line_of_the_dump_with_both_outputs) {
  const KeepSet all = all_of_tiny();
  Program step = differentiate(fused_tiny("bf16", all), all);
  lower(step, machine_with(1));
  const std::string text = print(step, plan_memory(step)), value = "%[0-9]+:bf16.8,32,256.@0x[0-9a-f]+";
  EXPECT_THAT(text, ::testing::ContainsRegex("forward " + value + ", " + value +
                                             " = linear_gelu.%[0-9]+, .*up.weight, .*up.bias.  # blocks.0.mlp.up"));
  EXPECT_THAT(text, ::testing::ContainsRegex("backward " + value +
                                             " = linear_gelu_input_gradient.%[0-9]+, .*down.weight, %[0-9]+."));
}

TEST(Fusion, moves_the_bytes_of_a_gelu_once_and_computes_the_same_flops) {
  const Program forward = forward_of({.precision = "bf16"}), joined = fused_tiny("bf16", all_of_tiny());
  const auto sum = [](const Program& program) {
    OperationCost all;
    for (const Operation& op : program.operations) {
      const OperationCost cost = cost_of(program, op);
      all.flops += cost.flops, all.read_bytes += cost.read_bytes, all.written_bytes += cost.written_bytes;
    }
    return all;
  };
  const OperationCost apart = sum(forward), together = sum(joined);
  const std::int64_t u = 8 * 32 * 256 * 2;  // rows of a batch, tokens, features, bytes
  EXPECT_EQ(apart.flops, together.flops);
  EXPECT_EQ(apart.written_bytes, together.written_bytes);
  EXPECT_EQ(apart.read_bytes - together.read_bytes, 2 * u);
  const KeepSet all = all_of_tiny();
  EXPECT_EQ(step_flops(differentiate(forward, all)).model, step_flops(differentiate(joined, all)).model);
}

TEST(Fusion, shifts_the_pieces_of_a_loss_by_what_is_gone) {
  Program forward = forward_of({.precision = "bf16"});
  const int last = static_cast<int>(forward.operations.size()) - 1;
  forward.pieces = {{last - 1, forward.loss}, {last, forward.loss}};
  const Program joined = fused(forward, card(), keepable(forward_of({.precision = "bf16"})));
  for (int i : {0, 1})
    EXPECT_EQ(joined.operations[static_cast<std::size_t>(joined.pieces[i].first)].outs,
              forward.operations[static_cast<std::size_t>(forward.pieces[i].first)].outs);
}

TEST(Fusion, of_a_step_keeps_the_law_that_what_is_kept_changes_no_bit) {
  std::mt19937 random(5);
  for (const char* precision : {"bf16", "fp16"}) {
    const StepSetting s{.precision = precision};
    const Program forward = forward_of({.precision = precision});
    const KeepSet all = keepable(forward);
    const StepResult whole = run_fused(s, fused(forward, card(), all), all);
    for (int trial = 0; trial < 6; ++trial) {
      KeepSet keep = random_keep(forward, random);
      const Program joined = fused(forward, card(), all);
      for (const Operation& op : joined.operations)
        if (op.kind == &linear_gelu_kind && !keep.contains(op.outs[0]))
          keep.erase(op.outs[1]);
        else if (op.kind == &linear_gelu_kind)
          keep.insert(op.outs[1]);
      EXPECT_THAT(bitwise_differences(run_fused(s, fused(forward, card(), keep), keep), whole), ::testing::IsEmpty())
          << precision << " " << trial;
    }
    const StepResult apart = run_fused(s, forward, all);
    EXPECT_LT(gradient_error(whole, apart), 0.05) << precision;
  }
}

TEST(Fusion, has_a_history_of_its_own_so_that_only_like_is_held_against_like) {
  const Program forward = forward_of({.precision = "bf16"});
  const KeepSet all = keepable(forward), split = without_a_gelu(forward);
  EXPECT_EQ(state_histories(differentiate(fused(forward, card(), {}), {})),
            state_histories(differentiate(fused(forward, card(), all), all)));
  EXPECT_NE(state_histories(differentiate(fused(forward, card(), split), split)),
            state_histories(differentiate(fused(forward, card(), all), all)));
  EXPECT_EQ(state_histories(differentiate(fused(forward, card(), split), split)),
            state_histories(differentiate(fused(forward, card(), split), all)));
}

}  // namespace stepscope::testing
