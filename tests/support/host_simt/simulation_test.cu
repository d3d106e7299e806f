// The simulated card: its clock, its memory, and what a profiler is told of it.
#include "tests/support/host_simt/simulation.cuh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <set>

#include "model/base/error.h"
#include "model/cuda/handles.cuh"
#include "model/cuda/machine.h"
#include "model/execution/cuda_executor.h"
#include "model/program/cost.h"
#include "tests/support/cupti_client.h"
#include "tests/support/host_simt/runtime.cuh"
#include "tests/support/step_run.h"

namespace stepscope::testing {

using host_simt::issue_ns;

namespace {

constexpr std::int64_t second = 1'000'000'000, gib = std::int64_t{1} << 30;

CardToSimulate round_card(bool computes) {
  Card card{.name = "round",
            .fp32_flops = 1e12,
            .tf32_flops = 2e12,
            .bf16_flops = 4e12,
            .fp16_flops = 4e12,
            .bandwidth = 1e12,
            .memory_bytes = 8 * gib,
            .context_bytes = gib};
  card.host_bandwidth = 1e10;
  return {.card = card,
          .title = "Round",
          .multiprocessors = 10,
          .computes = computes,
          .device = computes ? "simulated:round" : "simulated:round,costed"};
}

StepSetting small(std::int64_t micro_steps = 2) {
  StepSetting s;
  s.precision = "bf16";
  s.global_batch = 4, s.sequence = 8, s.micro_steps = micro_steps;
  s.change_model = [](ModelSettings& m) { m.layers = 1; };
  return s;
}

// What the rooflines of a step's operations sum to, by micro-step: the first adds to nothing.
double roofline_of_step(const Program& program, const Card& card) {
  double sum = 0;
  for (const Operation& op : program.operations) {
    sum += roofline_ns(program, op, card, 0);
    if (op.section == Section::micro)
      sum += static_cast<double>(program.micro_steps - 1) * roofline_ns(program, op, card, 1);
  }
  return sum;
}

}  // namespace

class SimulatedCardTest : public ::testing::Test {
 protected:
  void TearDown() override { host_simt::stop_simulating(); }

  static std::int64_t now() { return host_simt::simulation()->now_ns(); }
  static void set(const Stream& stream, const DeviceMemory& memory) {
    STEPSCOPE_CUDA(cudaMemsetAsync(memory.data(), 0, memory.bytes(), stream.get()));
  }
};

TEST_F(SimulatedCardTest, streams_are_timelines_that_marks_order) {
  (void)simulated_card(round_card(false));
  const DeviceMemory memory(second);  // a byte takes 1e-12 s: all of them a millisecond
  const Stream a, b;
  const StreamMark begin(true), end(true);
  const std::int64_t start = now();
  set(a, memory), set(b, memory);
  a.synchronise(), b.synchronise();
  EXPECT_NEAR(static_cast<double>(now() - start), 1e6, 4e4);  // side by side
  begin.record(a.get()), set(a, memory), end.record(a.get());
  b.wait_for(end), set(b, memory);
  const std::int64_t before = now();
  b.synchronise();
  EXPECT_NEAR(static_cast<double>(now() - before), 2e6, 4e4);  // one after the other
  EXPECT_NEAR(end.milliseconds_since(begin), 1, 0.01);
}

TEST_F(SimulatedCardTest, the_link_has_a_speed_of_its_own_and_issuing_costs_the_host) {
  (void)simulated_card(round_card(false));
  const DeviceMemory memory(10'000'000);
  const PinnedMemory host(10'000'000);
  const Stream stream;
  const std::int64_t start = now();
  STEPSCOPE_CUDA(cudaMemcpyAsync(memory.data(), host.data(), host.bytes(), cudaMemcpyHostToDevice, stream.get()));
  EXPECT_EQ(now() - start, issue_ns);
  stream.synchronise();
  EXPECT_EQ(now() - start, issue_ns + 1'000'000);
}

TEST_F(SimulatedCardTest, a_step_takes_its_rooflines_and_what_its_launches_cost) {
  const Machine machine = simulated_card(round_card(false));
  const Step step = build(small(), machine);
  const auto time_of = [&](bool eager) {
    const auto executor = make_cuda_executor(step.program, step.plan, machine, {.eager = eager});
    executor->initialise(1);
    fill_batch(small(), step.program, *executor);
    executor->step(1e-3);
    (void)executor->control();
    const std::int64_t begin = executor->now_ns();
    executor->step(1e-3);
    (void)executor->control();
    return static_cast<double>(executor->now_ns() - begin);
  };
  const double least = roofline_of_step(step.program, round_card(false).card), graph = time_of(false),
               eager = time_of(true);
  EXPECT_GT(graph, least);
  EXPECT_LT(graph, least + 1e5);
  const auto launches = static_cast<double>(step.program.operations.size());
  EXPECT_GT(eager, launches * static_cast<double>(issue_ns));
  EXPECT_GT(eager, graph);
  EXPECT_EQ(time_of(false), graph);  // exact: the same again
}

TEST_F(SimulatedCardTest, computes_the_same_bits_as_the_stand_in_without_a_clock) {
  const StepSetting s = small();
  const Step plain = build(s, this_card());
  const auto without = make_cuda_executor(plain.program, plain.plan, this_card(), {});
  const StepResult expected = run_step_on(*without, plain, s);
  const Machine machine = simulated_card(round_card(true));
  const auto with = make_cuda_executor(plain.program, plain.plan, machine, {});
  EXPECT_EQ(bitwise_differences(run_step_on(*with, plain, s), expected), std::vector<std::string>{});
}

TEST_F(SimulatedCardTest, has_its_cards_memory_and_hands_out_what_was_planned) {
  CardToSimulate card = round_card(false);
  const Machine machine = simulated_card(card);
  EXPECT_EQ(machine.memory_bytes, 8 * gib);
  EXPECT_EQ(machine.context_bytes, gib);
  const Step step = build(small(), machine);
  const std::int64_t needed = state_bytes(step.program).total() + step.plan.arena_bytes;
  const auto executor = make_cuda_executor(step.program, step.plan, machine, {});
  const Executor::UsedBytes used = executor->measure_used_bytes(1e-3);
  EXPECT_EQ(used.states + used.arena, needed);
  EXPECT_FALSE(executor->computes());
  host_simt::stop_simulating();
  card.card.memory_bytes = gib + needed - 1;
  card.device = "simulated:smaller,costed";
  const Machine smaller = simulated_card(card);
  EXPECT_THROW((void)make_cuda_executor(step.program, step.plan, smaller, {}), OutOfMemory);
}

TEST_F(SimulatedCardTest, needs_to_know_how_fast_its_link_is) {
  CardToSimulate card = round_card(false);
  card.card.host_bandwidth = 0;
  EXPECT_THROW((void)simulated_card(card), UsageError);
}

#ifdef STEPSCOPE_CUPTI_CLIENT

class CuptiOfSimulatedCard : public SimulatedCardTest {
 protected:
  void SetUp() override {
    if (const std::string why = client.why_not(); !why.empty()) GTEST_SKIP() << why;
  }
  void TearDown() override {
    client.close();
    SimulatedCardTest::TearDown();
  }

  // One step, recorded; the batch and what else it takes are sent before.
  void record_step(bool eager) {
    machine = simulated_card(round_card(false));
    step.emplace(build(small(4), machine));
    client.open();
    const auto executor = make_cuda_executor(step->program, step->plan, machine, {.eager = eager});
    fill_batch(small(4), step->program, *executor);
    executor->step(1e-3);
    (void)executor->control();
    client.flush();
    client.records = {};
    client.push(77);
    executor->step(1e-3);
    client.pop();
    (void)executor->control();
    client.flush();
  }

  double kernel_ns(const std::string& part, bool with) const {
    double sum = 0;
    for (const CuptiClient::Work& kernel : client.records.kernels)
      if ((kernel.name.find(part) != std::string::npos) == with)
        sum += static_cast<double>(kernel.end_ns - kernel.start_ns);
    for (const CuptiClient::Work& other : client.records.sets)
      sum += with ? 0 : static_cast<double>(other.end_ns - other.start_ns);
    return sum;
  }

  CuptiClient client;
  Machine machine;
  std::optional<Step> step;
};

TEST_F(CuptiOfSimulatedCard, kernels_of_eager_and_graph_steps_are_the_same_and_sum_to_the_rooflines) {
  std::map<bool, std::multiset<std::string>> names;
  for (const bool eager : {true, false}) {
    SCOPED_TRACE(eager);
    record_step(eager);
    for (const CuptiClient::Work& kernel : client.records.kernels) names[eager].insert(kernel.name);
    const double expected = roofline_of_step(step->program, round_card(false).card);
    const auto rounding = static_cast<double>(client.records.kernels.size() + client.records.sets.size());
    EXPECT_NEAR(kernel_ns("next_micro_step", false), expected, rounding);
    EXPECT_EQ(kernel_ns("next_micro_step", true), 3 * host_simt::stray_kernel_ns);  // one for each later micro-step
    client.close();
    host_simt::stop_simulating();
  }
  EXPECT_EQ(names[true], names[false]);
}

TEST_F(CuptiOfSimulatedCard, every_piece_of_work_is_of_a_call_and_every_call_of_an_external_id) {
  record_step(true);
  ASSERT_FALSE(client.records.kernels.empty());
  for (const auto* list : {&client.records.kernels, &client.records.copies, &client.records.sets})
    for (const CuptiClient::Work& one : *list) {
      EXPECT_TRUE(client.records.calls.contains(one.correlation)) << one.name;
      EXPECT_LT(one.start_ns, one.end_ns);
      EXPECT_EQ(one.graph_node, 0U);
      EXPECT_GE(one.start_ns, client.records.calls[one.correlation].start_ns);
    }
  for (const CuptiClient::Work& kernel : client.records.kernels)
    EXPECT_EQ(client.records.external[kernel.correlation], 77U) << kernel.name;
}

TEST_F(CuptiOfSimulatedCard, nodes_of_a_graph_are_known_from_their_capture_on) {
  record_step(false);
  std::set<std::uint64_t> seen;
  for (const CuptiClient::Work& kernel : client.records.kernels) {
    ASSERT_NE(kernel.graph_node, 0U);
    const auto original = client.originals.find(kernel.graph_node);
    ASSERT_NE(original, client.originals.end());
    EXPECT_TRUE(client.created.contains(original->second));
    seen.insert(kernel.graph_node);
  }
  EXPECT_LT(seen.size(), client.records.kernels.size());  // the later micro-steps replay one graph
}

TEST_F(CuptiOfSimulatedCard, allocations_are_told_with_their_bytes) {
  machine = simulated_card(round_card(false));
  client.open();
  { const DeviceMemory memory(12345); }
  client.flush();
  ASSERT_EQ(client.records.allocations.size(), 2U);
  EXPECT_EQ(client.records.allocations[0].bytes, 12345U);
  EXPECT_TRUE(client.records.allocations[0].allocated && !client.records.allocations[1].allocated);
  EXPECT_EQ(client.records.overheads, 1U);
}

#endif

}  // namespace stepscope::testing
