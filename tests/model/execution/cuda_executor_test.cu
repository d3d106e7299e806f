// Whole steps on a card, or on host SIMT, against the CPU machine.
#include "model/execution/cuda_executor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>

#include "model/base/tolerance.h"
#include "model/cuda/handles.cuh"
#include "model/cuda/machine.h"
#include "model/execution/cpu_executor.h"
#include "model/operations/lowering.h"
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

void fill_batch_of(const StepSetting& s, const Program& program, Executor& executor, int step) {
  StepSetting other = s;
  other.seed += static_cast<std::uint64_t>(step);
  fill_batch(other, program, executor);
}

// Steps without an observer, so that graphs are replayed: with one batch and nothing between them that waits, or each with a batch that is
// written while the step before it runs.
StepResult run_unobserved(const StepSetting& s, CudaExecutor::Launch how, bool new_batches = false) {
  const Step step = build(s, this_card());
  CudaExecutor executor(step.program, step.plan, how);
  executor.initialise(s.seed);
  fill_batch_of(s, step.program, executor, 0);
  for (int i = 0; i < s.steps; ++i) {
    executor.step(1e-3 / (i + 1));
    if (new_batches) fill_batch_of(s, step.program, executor, i + 1);
  }
  return result_of(executor, step.program);
}

// What a step leaves in the control block, where each has another learning rate, batch and scale of its loss; the second overflows.
std::vector<ControlBlock> run_with_changing_scalars(const StepSetting& s, const Step& step, Executor& executor) {
  std::vector<ControlBlock> after;
  executor.initialise(s.seed);
  for (int i = 0; i < s.steps; ++i) {
    fill_batch_of(s, step.program, executor, i);
    if (i == 1) executor.control().loss_scale = 0x1p60;
    if (i == 2) executor.control().loss_scale = 0x1p9;
    executor.step(1e-2 / (i + 1));
    after.push_back(executor.control());
  }
  return after;
}

StepSetting small(const std::string& precision) {
  StepSetting s;
  s.precision = precision;
  s.global_batch = 2;
  s.sequence = 8;
  s.change_model = [](ModelSettings& m) { m.layers = 1; };
  return s;
}

// The card's program, in which some operations are one, on the CPU machine.
StepResult run_on_cpu(const StepSetting& s) {
  Step step = build(s, this_card());
  lower(step.program, machine_with(s.threads));
  step.plan = plan_memory(step.program);
  CpuExecutor executor(step.program, step.plan, machine_with(s.threads));
  return run_step_on(executor, step, s);
}

void expect_like_the_cpu(const StepSetting& s, DType compute) {
  const StepResult cpu = run_on_cpu(s), card = run_on_card(s, CudaExecutor::Launch::eager);
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

TEST(CudaExecutor, graphs_follow_learning_rate_loss_scale_and_overflow_as_the_cpu_does) {
  StepSetting s = small("fp16");
  s.steps = 5;
  s.micro_steps = 2;
  s.change_training = [](TrainingSettings& t) { t.loss_scale = 0x1p10, t.loss_scale_growth_interval = 2, t.clip = 1; };
  const Step on_card = build(s, this_card()), on_cpu = build(s, machine_with(1));
  CudaExecutor eager(on_card.program, on_card.plan, CudaExecutor::Launch::eager);
  CudaExecutor graphs(on_card.program, on_card.plan, CudaExecutor::Launch::graph);
  CpuExecutor cpu(on_cpu.program, on_cpu.plan, machine_with(1));
  const auto as_eager = run_with_changing_scalars(s, on_card, eager),
             as_graphs = run_with_changing_scalars(s, on_card, graphs),
             as_cpu = run_with_changing_scalars(s, on_cpu, cpu);
  for (std::size_t i = 0; i < as_cpu.size(); ++i) {
    const ControlBlock &card = as_graphs[i], &expected = as_cpu[i];
    EXPECT_EQ(card.found_inf, i == 1 ? 1 : 0) << i;
    EXPECT_EQ(card.loss_scale, expected.loss_scale) << i;
    EXPECT_EQ(card.clean_steps, expected.clean_steps) << i;
    EXPECT_EQ(card.skips, expected.skips) << i;
    EXPECT_TRUE(close(card.loss_sum, expected.loss_sum, DType::fp16))
        << i << ": " << card.loss_sum << ", " << expected.loss_sum;
    EXPECT_EQ(card.loss_sum, as_eager[i].loss_sum) << i;
    EXPECT_EQ(card.loss_scale, as_eager[i].loss_scale) << i;
    EXPECT_EQ(std::memcmp(&card.gradient_norm, &as_eager[i].gradient_norm, sizeof(double)), 0) << i;
  }
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

void expect_family_like_the_cpu(const char* preset) {
  StepSetting s = small("bf16");
  s.preset = preset;
  s.global_batch = 4;
  s.micro_steps = 2;
  s.steps = 2;
  expect_like_the_cpu(s, DType::bf16);
  s.precision = "fp32";
  expect_like_the_cpu(s, DType::fp32);
}

TEST(CudaExecutor, steps_of_the_gpt2_family_are_those_of_the_cpu) { expect_family_like_the_cpu("gpt2-tiny"); }

// A norm of queries and keys, heads wider than hidden / heads, a tied table whose gradient comes from both its uses.
TEST(CudaExecutor, steps_of_the_qwen3_family_are_those_of_the_cpu) { expect_family_like_the_cpu("qwen3-tiny"); }

TEST(CudaExecutor, narrow_gradients_of_a_tied_table_are_those_of_the_cpu) {
  StepSetting s = small("bf16");
  s.preset = "qwen3-tiny";
  s.gradient_precision = "bf16";
  s.micro_steps = 2;
  expect_like_the_cpu(s, DType::bf16);
}

// Counts what it is told, and needs no operation told while steps run.
class ReplayCounter final : public Observer {
 public:
  void operation_begins(int, int) override { ++operations; }
  [[nodiscard]] bool sees_each_operation() const override { return false; }
  void replay_begins(int micro_step) override { replays.push_back(micro_step); }
  int operations = 0;
  std::vector<int> replays;
};

TEST(CudaExecutor, who_need_not_see_each_operation_is_told_them_once_and_each_replay) {
  StepSetting s = small("bf16");
  s.global_batch = 6;
  s.micro_steps = 3;
  const Step step = build(s, this_card());
  CudaExecutor watched(step.program, step.plan, CudaExecutor::Launch::graph),
      alone(step.program, step.plan, CudaExecutor::Launch::graph);
  ReplayCounter counter;
  for (CudaExecutor* executor : {&watched, &alone}) {
    executor->initialise(s.seed);
    fill_batch(s, step.program, *executor);
    executor->step(1e-3);
    if (executor == &watched) executor->observe(&counter);
    executor->step(1e-3);
    executor->observe(nullptr);
    executor->step(1e-3);
  }
  const auto micro = std::count_if(step.program.operations.begin(), step.program.operations.end(),
                                   [](const Operation& op) { return op.section == Section::micro; });
  EXPECT_EQ(counter.operations, std::ssize(step.program.operations) + micro);  // those of a later micro-step once more
  EXPECT_EQ(counter.replays, (std::vector<int>{0, 1, 2, 0}));  // micro-steps, update
  EXPECT_EQ(watched.control().loss_sum, alone.control().loss_sum);
  EXPECT_EQ(std::memcmp(&watched.control().gradient_norm, &alone.control().gradient_norm, sizeof(double)), 0);
}

StepSetting offloading(const std::string& precision) {
  StepSetting s = small(precision);
  s.micro_steps = 2;
  s.steps = 2;
  s.offload = {"activations:TransformerBlock", "optimizer"};
  if (precision != "fp32") s.offload.emplace_back("master");
  s.host_bandwidth = 1e10;
  return s;
}

TEST(CudaExecutor, states_of_the_host_may_change_places_in_an_update) {
  StepSetting s = offloading("fp16");
  s.change_training = [](TrainingSettings& t) { t.loss_scale = 0x1p40, t.loss_scale_growth_interval = 1; };
  s.steps = 24;  // the first ones overflow
  s.micro_steps = 1;
  s.copies_in_flight = 0;
  const Step step = build(s, this_card()), apart = with_updates_elsewhere(step);
  CudaExecutor in_place(step.program, step.plan, CudaExecutor::Launch::graph),
      elsewhere(apart.program, apart.plan, CudaExecutor::Launch::graph);
  EXPECT_EQ(bitwise_differences(run_step_on(elsewhere, apart, s), run_step_on(in_place, step, s)),
            std::vector<std::string>());
  EXPECT_GT(in_place.control().skips, 0);
  EXPECT_LT(in_place.control().skips, s.steps);
}

TEST(CudaExecutor, what_lies_in_host_memory_changes_no_bit_eager_or_in_graphs) {
  for (const char* precision : {"fp32", "bf16", "fp16"}) {
    const StepSetting s = offloading(precision);
    StepSetting plain = s;
    plain.offload = {};
    const StepResult without = run_unobserved(plain, CudaExecutor::Launch::graph);
    for (const CudaExecutor::Launch how : {CudaExecutor::Launch::eager, CudaExecutor::Launch::graph})
      EXPECT_EQ(bitwise_differences(run_unobserved(s, how), without), std::vector<std::string>()) << precision;
  }
}

#ifndef __CUDACC__
// Streams that run as late as they may, as early, and in other orders; windows of every length, also where the rate is not known.
TEST(CudaExecutor, copies_beside_a_step_are_awaited_where_it_matters) {
  StepSetting s = offloading("bf16");
  StepSetting plain = s;
  plain.offload = {};
  const StepResult without = run_unobserved(plain, CudaExecutor::Launch::graph);
  for (const int in_flight : {1, 2, 100}) {
    s.copies_in_flight = in_flight;
    s.host_bandwidth = in_flight == 2 ? 0 : 1e10;
    for (const host_simt::Options& options :
         {host_simt::Options{.order = host_simt::Order::reverse},
          host_simt::Options{.order = host_simt::Order::shuffled, .seed = 5, .others_first = true},
          host_simt::Options{.eager = true}}) {
      host_simt::options() = options;
      const StepResult other =
          run_unobserved(s, options.others_first ? CudaExecutor::Launch::eager : CudaExecutor::Launch::graph);
      host_simt::options() = {};
      EXPECT_EQ(bitwise_differences(other, without), std::vector<std::string>()) << in_flight;
    }
  }
}

TEST(CudaExecutor, both_memories_take_what_was_planned) {
  const StepSetting s = offloading("bf16");
  const Step step = build(s, this_card());
  const host_simt::RuntimeCounts before = host_simt::counts();
  CudaExecutor executor(step.program, step.plan, CudaExecutor::Launch::graph);
  EXPECT_EQ(static_cast<std::int64_t>(host_simt::counts().live_bytes - before.live_bytes),
            state_bytes(step.program).total() + step.plan.arena_bytes);
  executor.initialise(1);
  fill_batch(s, step.program, executor);
  const Executor::UsedBytes used = executor.measure_used_bytes(1e-3);
  EXPECT_EQ(used.differences, std::vector<std::string>());
  EXPECT_EQ(used.states, state_bytes(step.program).total());
  EXPECT_EQ(used.arena, step.plan.arena_bytes);
  EXPECT_EQ(used.largest_live, step.plan.largest_live_bytes);
  EXPECT_EQ(used.host_states, state_bytes(step.program).host);
  EXPECT_EQ(used.host_arena, step.plan.host_arena_bytes);
  EXPECT_EQ(used.host_largest_live, step.plan.host_largest_live_bytes);
  EXPECT_GT(used.host_states, 0);
  EXPECT_GT(used.host_arena, 0);
}
#endif

#ifndef __CUDACC__
TEST(CudaExecutor, a_profile_window_holds_the_kernels_of_its_steps_alone) {
  const StepSetting s = small("fp32");
  const Step step = build(s, this_card());
  CudaExecutor executor(step.program, step.plan, CudaExecutor::Launch::graph);
  executor.initialise(s.seed);
  fill_batch(s, step.program, executor);
  executor.step(1e-3);
  executor.synchronise();
  const host_simt::RuntimeCounts before = host_simt::counts();
  executor.step(1e-3);
  EXPECT_TRUE(executor.mark_profile_window(true));
  const host_simt::RuntimeCounts opened = host_simt::counts();
  executor.step(1e-3);
  executor.mark_profile_window(false);
  executor.step(1e-3);
  executor.synchronise();
  EXPECT_EQ(host_simt::counts().profiled_kernels - before.profiled_kernels, opened.kernels - before.kernels);
  EXPECT_THROW(executor.mark_profile_window(false), MachineError);
}

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

TEST(CudaExecutor, a_step_touches_the_bytes_that_were_planned_and_leaves_no_trace) {
  StepSetting s = small("bf16");
  s.micro_steps = 2;
  const Step step = build(s, this_card());
  CudaExecutor executor(step.program, step.plan, CudaExecutor::Launch::graph);
  executor.initialise(1);
  fill_batch(s, step.program, executor);
  executor.step(1e-3);
  std::vector<float> before(1), after(1);
  const StateId parameter = step.program.find_state("final_norm.scale");
  before.resize(static_cast<std::size_t>(step.program.state(parameter).type.shape.elements()));
  after.resize(before.size());
  executor.read(parameter, std::as_writable_bytes(std::span(before)));
  const double loss = executor.control().loss_sum;
  const Executor::UsedBytes used = executor.measure_used_bytes(1e-3);
  executor.read(parameter, std::as_writable_bytes(std::span(after)));
  EXPECT_EQ(before, after);
  EXPECT_EQ(executor.control().loss_sum, loss);
  EXPECT_EQ(executor.control().step, 1);
  EXPECT_EQ(used.differences, std::vector<std::string>());
  EXPECT_EQ(used.states, state_bytes(step.program).total());
  EXPECT_EQ(used.arena, step.plan.arena_bytes);
  EXPECT_EQ(used.largest_live, step.plan.largest_live_bytes);
}

TEST(CudaExecutor, a_plan_of_a_byte_too_many_is_seen) {
  const StepSetting s = small("fp32");
  const Step step = build(s, this_card());
  MemoryPlan wrong = step.plan;
  const auto logits = static_cast<std::size_t>(step.program.logits.index);
  ++wrong.placements[logits].size_bytes;
  CudaExecutor executor(step.program, wrong, CudaExecutor::Launch::eager);
  executor.initialise(1);
  fill_batch(s, step.program, executor);
  const Executor::UsedBytes used = executor.measure_used_bytes(1e-3);
  ASSERT_EQ(used.differences.size(), 1U);
  EXPECT_NE(used.differences.front().find(step.program.value(step.program.logits).name), std::string::npos);
}

TEST(CudaExecutor, what_does_not_fit_is_refused_with_what_was_asked_what_is_free_and_what_there_is) {
  const StepSetting s = small("fp32");
  const Step step = build(s, this_card());
  const std::int64_t needed = state_bytes(step.program).total() + step.plan.arena_bytes;
  host_simt::options().memory_bytes = host_simt::counts().live_bytes + 1000;
  const auto refusal = [&](const std::function<void()>& make) -> std::string {
    try {
      make();
    } catch (const OutOfMemory& error) {
      return error.what();
    }
    return "nothing was refused";
  };
  const std::string step_refused = refusal([&] { CudaExecutor(step.program, step.plan, CudaExecutor::Launch::eager); });
  const std::string memory_refused = refusal([&] { const DeviceMemory memory(5000); });
  const std::string free_of_all = "1000 of " + std::to_string(host_simt::options().memory_bytes) + " are free";
  host_simt::options() = {};
  EXPECT_EQ(step_refused, "the card has no room for " + std::to_string(needed) + " bytes: " + free_of_all);
  EXPECT_EQ(memory_refused, "the card has no room for 5000 bytes: " + free_of_all);
  CudaExecutor(step.program, step.plan, CudaExecutor::Launch::eager);  // nothing is left of the refusal
}

TEST(CudaExecutor, a_batch_is_copied_beside_the_update_and_never_earlier) {
  StepSetting s = small("bf16");
  s.steps = 3;
  const StepResult lazy = run_unobserved(s, CudaExecutor::Launch::graph, true);
  for (const host_simt::Options& options :
       {host_simt::Options{.others_first = true}, host_simt::Options{.eager = true}}) {
    host_simt::options() = options;
    const StepResult other = run_unobserved(s, CudaExecutor::Launch::graph, true);
    host_simt::options() = {};
    EXPECT_EQ(bitwise_differences(lazy, other), std::vector<std::string>());
  }
}

TEST(CudaExecutor, who_takes_times_sees_operations_that_are_done) {
  struct Waiting final : Observer {
    explicit Waiting(bool t) : times(t) {}
    [[nodiscard]] bool takes_times() const override { return times; }
    void operation_begins(int, int) override { before = work(); }
    void operation_ends(int, int) override { (work() > before ? done : not_done) += 1; }
    static std::size_t work() { return host_simt::counts().kernels + host_simt::counts().memsets; }
    bool times;
    std::size_t before = 0;
    int done = 0, not_done = 0;
  };
  const StepSetting s = small("fp32");
  const Step step = build(s, this_card());
  CudaExecutor executor(step.program, step.plan, CudaExecutor::Launch::graph);
  executor.initialise(1);
  fill_batch(s, step.program, executor);
  Waiting waits(true), passes(false);
  executor.observe(&waits);
  executor.step(1e-3);
  executor.observe(&passes);
  executor.step(1e-3);
  executor.observe(nullptr);
  EXPECT_GT(waits.done, passes.done);
  EXPECT_EQ(passes.done, 0);
}

TEST(CudaExecutor, writing_the_next_batch_waits_for_no_step) {
  const StepSetting s = small("fp32");
  const Step step = build(s, this_card());
  CudaExecutor executor(step.program, step.plan, CudaExecutor::Launch::graph);
  executor.initialise(1);
  fill_batch_of(s, step.program, executor, 0);
  executor.step(1e-3);
  const std::size_t kernels = host_simt::counts().kernels;
  fill_batch_of(s, step.program, executor, 1);
  EXPECT_EQ(host_simt::counts().kernels, kernels);
  (void)executor.control();
  EXPECT_GT(host_simt::counts().kernels, kernels);
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
