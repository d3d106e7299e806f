// Whole steps on a card, or on host SIMT, against the CPU machine.
#include "model/execution/cuda_executor.h"

#include <gtest/gtest.h>

#include "model/base/tolerance.h"
#include "model/cuda/machine.cuh"
#include "tests/support/step_run.h"
#ifndef __CUDACC__
#include "tests/support/host_simt/runtime.cuh"
#include "tests/support/host_simt/scheduler.cuh"
#endif

namespace stepscope::testing {

namespace {

StepResult run_on_card(const StepSetting& s, CudaExecutor::Launch how) {
  const Step step = build(s, this_card());
  CudaExecutor executor(step.program, step.plan, how);
  return run_step_on(executor, step, s);
}

// Steps without an observer, so that graphs are replayed, and with nothing between them that waits.
StepResult run_unobserved(const StepSetting& s, CudaExecutor::Launch how) {
  const Step step = build(s, this_card());
  CudaExecutor executor(step.program, step.plan, how);
  executor.initialise(s.seed);
  fill_batch(s, step.program, executor);
  for (int i = 0; i < s.steps; ++i) executor.step(1e-3 / (i + 1));
  StepResult result;
  result.loss = executor.control().loss_sum / executor.control().token_count;
  for (const StateId id : step.program.states_of(StateKind::parameter)) {
    const State& state = step.program.state(id);
    const auto read = [&](StateId from) {
      std::vector<float> numbers(static_cast<std::size_t>(state.type.shape.elements()));
      executor.read(from, std::as_writable_bytes(std::span(numbers)));
      return numbers;
    };
    result.parameters[state.name] = read(id);
    result.gradients[state.name] = read(step.program.belonging_to(id, StateKind::gradient));
  }
  return result;
}

StepSetting small(const std::string& precision) {
  StepSetting s;
  s.precision = precision;
  s.global_batch = 2;
  s.sequence = 8;
  s.change_model = [](ModelSettings& m) { m.layers = 1; };
  return s;
}

void expect_like_the_cpu(const StepSetting& s, DType compute) {
  const StepResult cpu = run_step_of(s), card = run_on_card(s, CudaExecutor::Launch::eager);
  EXPECT_TRUE(close(card.loss, cpu.loss, compute)) << card.loss << ", " << cpu.loss;
  ASSERT_EQ(card.logits.size(), cpu.logits.size());
  EXPECT_LT(gradient_error(card, cpu), compute == DType::fp32 ? 1e-5 : tolerance(compute).relative);
}

}  // namespace

TEST(CudaExecutor, a_tiny_step_has_the_cpus_loss_and_gradients_in_fp32) {
  expect_like_the_cpu({.preset = "tiny", .global_batch = 4}, DType::fp32);
}

TEST(CudaExecutor, a_tiny_step_has_the_cpus_loss_and_gradients_in_bf16) {
  StepSetting s = small("bf16");
  s.micro_steps = 2;
  expect_like_the_cpu(s, DType::bf16);
}

TEST(CudaExecutor, graphs_replayed_with_changing_scalars_give_the_bits_of_eager_steps) {
  StepSetting s = small("bf16");
  s.global_batch = 6;
  s.micro_steps = 3;
  s.steps = 3;
  const StepResult eager = run_unobserved(s, CudaExecutor::Launch::eager),
                   graphs = run_unobserved(s, CudaExecutor::Launch::graph);
  EXPECT_EQ(bitwise_differences(eager, graphs), std::vector<std::string>());
}

TEST(CudaExecutor, a_step_of_either_attention_is_that_of_the_cpu_and_replayed_has_the_same_bits) {
  for (const char* attention : {"fused", "materialised"}) {
    StepSetting s = small("bf16");
    s.change_model = [attention](ModelSettings& m) {
      m.layers = 1;
      m.heads = 1;  // of 64 features: fused on tensor cores
      m.attention = attention;
    };
    s.unequal_lengths = true;
    s.global_batch = 4;
    s.micro_steps = 2;
    expect_like_the_cpu(s, DType::bf16);
    s.steps = 2;
    EXPECT_EQ(bitwise_differences(run_unobserved(s, CudaExecutor::Launch::eager),
                                  run_unobserved(s, CudaExecutor::Launch::graph)),
              std::vector<std::string>())
        << attention;
  }
}

TEST(CudaExecutor, steps_with_a_scaled_loss_are_those_of_the_cpu) {
  StepSetting s = small("fp16");
  s.steps = 2;
  expect_like_the_cpu(s, DType::fp16);
}

TEST(CudaExecutor, a_step_that_overflows_leaves_no_trace_but_its_count) {
  const StepSetting s = small("fp16");
  const Step step = build(s, this_card());
  CudaExecutor executor(step.program, step.plan, CudaExecutor::Launch::graph);
  executor.initialise(s.seed);
  fill_batch(s, step.program, executor);
  const auto updated = [&] {
    std::vector<std::byte> all;
    for (const StateKind kind : {StateKind::parameter, StateKind::moment})
      for (const StateId id : step.program.states_of(kind)) {
        std::vector<std::byte> bytes(static_cast<std::size_t>(step.program.state(id).type.size_bytes()));
        executor.read(id, bytes);
        all.insert(all.end(), bytes.begin(), bytes.end());
      }
    return all;
  };
  const std::vector<std::byte> before = updated();
  executor.control().loss_scale = 0x1p100;
  executor.step(1e-3);
  EXPECT_EQ(updated(), before);
  EXPECT_EQ(executor.control().skips, 1);
  EXPECT_EQ(executor.control().loss_scale, 0x1p99);
  executor.control().loss_scale = 1024;
  executor.step(1e-3);
  executor.step(1e-3);  // nobody looks between them: what the card counts stays there
  EXPECT_NE(updated(), before);
  EXPECT_EQ(executor.control().skips, 1);
  EXPECT_EQ(executor.control().clean_steps, 2);
}

TEST(CudaExecutor, what_is_kept_changes_no_bit) {
  StepSetting kept = small("bf16"), repeated = kept;
  repeated.keep = [](const Program&) { return KeepSet{}; };
  EXPECT_EQ(bitwise_differences(run_on_card(kept, CudaExecutor::Launch::eager),
                                run_on_card(repeated, CudaExecutor::Launch::eager)),
            std::vector<std::string>());
}

TEST(CudaExecutor, a_step_of_the_llama_family_is_that_of_the_cpu) {
  StepSetting s = small("bf16");
  s.preset = "llama-tiny";
  s.change_model = [](ModelSettings& m) {
    m.layers = 1;
    m.tied_head = true;
  };
  s.unequal_lengths = true;
  s.global_batch = 4;
  expect_like_the_cpu(s, DType::bf16);
}

// A norm of queries and keys, heads wider than hidden / heads, a tied table whose gradient comes from both its uses.
TEST(CudaExecutor, steps_of_the_qwen3_family_are_those_of_the_cpu) {
  StepSetting s = small("bf16");
  s.preset = "qwen3-tiny";
  s.global_batch = 4;
  s.micro_steps = 2;
  s.steps = 2;
  expect_like_the_cpu(s, DType::bf16);
  s.precision = "fp32";
  expect_like_the_cpu(s, DType::fp32);
}

TEST(CudaExecutor, narrow_gradients_of_a_tied_table_are_those_of_the_cpu) {
  StepSetting s = small("bf16");
  s.preset = "qwen3-tiny";
  s.gradient_precision = "bf16";
  s.micro_steps = 2;
  expect_like_the_cpu(s, DType::bf16);
}

#ifndef __CUDACC__
TEST(CudaExecutor, allocates_what_was_planned_and_nothing_in_a_step) {
  const StepSetting s = small("fp32");
  const Step step = build(s, this_card());
  const host_simt::RuntimeCounts before = host_simt::counts();
  CudaExecutor executor(step.program, step.plan, CudaExecutor::Launch::graph);
  const host_simt::RuntimeCounts made = host_simt::counts();
  EXPECT_EQ(static_cast<std::int64_t>(made.live_bytes - before.live_bytes),
            state_bytes(step.program).total() + step.plan.arena_bytes);
  executor.initialise(1);
  fill_batch(s, step.program, executor);
  executor.step(1e-3);
  executor.step(1e-3);
  (void)executor.control();
  EXPECT_EQ(host_simt::counts().allocations, made.allocations);
}

TEST(CudaExecutor, neither_the_order_of_threads_nor_when_streams_run_changes_a_bit) {
  StepSetting s = small("bf16");
  s.steps = 3;  // nobody waits between them
  s.micro_steps = 2;
  const StepResult first = run_unobserved(s, CudaExecutor::Launch::graph);
  host_simt::options() = {.order = host_simt::Order::shuffled, .seed = 7, .eager = true};
  const StepResult other = run_unobserved(s, CudaExecutor::Launch::graph);
  host_simt::options() = {};
  EXPECT_EQ(bitwise_differences(first, other), std::vector<std::string>());
}
#endif

}  // namespace stepscope::testing
