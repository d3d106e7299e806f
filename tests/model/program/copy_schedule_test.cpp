// Windows of copies: hidden where the link is fast enough, at the fewest bytes; shown as a wait where it is not.
#include "model/program/copy_schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "model/program/copy.h"
#include "model/program/memory_plan.h"
#include "model/program/verify.h"
#include "model/techniques/checkpointing.h"
#include "tests/support/programs.h"

namespace stepscope {
namespace {

// A step of six blocks whose operations all take 1000 ns, with what the MLPs keep in host memory.
Program offloaded() {
  testing::StepCase c{.preset = "gpt2-tiny", .precision = "bf16"};
  Program forward = testing::forward_of(c);
  send_to_host(forward, made_inside(forward, keepable(forward), "MLPBlock", "offload"));
  return differentiate(forward, keepable(forward));
}

OperationTimes times_of(const Program& program, double ns = 1000) {
  OperationTimes times;
  for (const Operation& op : program.operations) times.push_back(op.kind->copies ? 0 : ns);
  return times;
}

struct Outcome {
  double wait_ns = 0;
  std::int64_t live_bytes = 0;
};

Outcome with_link(const HostLink& link) {
  Program program = offloaded();
  schedule_copies(program, times_of(program), link);
  verify(program);
  const MemoryPlan plan = plan_memory(program);
  verify(program, plan);
  return {copy_wait_ns(program, copy_waits(program, times_of(program), link.bandwidth)), plan.largest_live_bytes};
}

std::int64_t largest_copy() {
  const Program program = offloaded();
  std::int64_t largest = 0;
  for (const Operation& op : program.operations)
    if (op.kind->copies) largest = std::max(largest, copied_bytes(program, op));
  return largest;
}

double in_one_operation() { return 1e9 * static_cast<double>(largest_copy()) / 1000; }  // bytes/s

TEST(CopySchedule, a_fast_link_is_hidden_and_holds_no_more_than_it_must) {
  const Outcome fast = with_link({.bandwidth = 100 * in_one_operation()});
  // What backward reads first was made last: nothing lies between.
  EXPECT_LT(fast.wait_ns, 100);
  EXPECT_LE(fast.live_bytes, with_link({.bandwidth = 100 * in_one_operation(), .in_flight = 100}).live_bytes);
}

TEST(CopySchedule, a_window_too_short_shows_its_wait) {
  const double bandwidth = in_one_operation();
  const Outcome chosen = with_link({.bandwidth = bandwidth}),
                none = with_link({.bandwidth = bandwidth, .in_flight = 0});
  const CopyTraffic traffic = copy_traffic(offloaded());
  EXPECT_NEAR(none.wait_ns, 1e9 * static_cast<double>(traffic.to_host_bytes + traffic.from_host_bytes) / bandwidth, 1);
  EXPECT_LT(chosen.wait_ns, none.wait_ns / 4);
  EXPECT_LE(none.live_bytes, chosen.live_bytes);
}

TEST(CopySchedule, no_fixed_number_in_flight_that_holds_no_more_waits_less) {
  const double hidden = 1 * static_cast<double>(offloaded().operations.size());  // a thousandth of the step
  for (const double speed : {0.05, 0.3, 1.0, 4.0, 50.0}) {
    const double bandwidth = speed * in_one_operation();
    const Outcome chosen = with_link({.bandwidth = bandwidth});
    for (const int in_flight : {0, 1, 2, 4, 8, 16, 1000}) {
      const Outcome fixed = with_link({.bandwidth = bandwidth, .in_flight = in_flight});
      SCOPED_TRACE(std::to_string(speed) + " " + std::to_string(in_flight));
      if (fixed.live_bytes <= chosen.live_bytes) {
        EXPECT_LE(chosen.wait_ns, fixed.wait_ns + hidden);
      }
      if (fixed.wait_ns <= hidden) {
        EXPECT_LE(chosen.wait_ns, hidden);
        EXPECT_LE(chosen.live_bytes, fixed.live_bytes);
      }
      if (in_flight > 0 && chosen.wait_ns > hidden) {
        EXPECT_LE(static_cast<double>(chosen.live_bytes), 1.1 * static_cast<double>(fixed.live_bytes));
      }
    }
  }
}

TEST(CopySchedule, a_link_that_cannot_keep_up_waits_for_what_it_carries_and_holds_little) {
  const double bandwidth = in_one_operation() / 50;
  const Outcome slow = with_link({.bandwidth = bandwidth});
  const CopyTraffic traffic = copy_traffic(offloaded());
  const double carried = 1e9 * static_cast<double>(traffic.to_host_bytes + traffic.from_host_bytes) / bandwidth;
  EXPECT_LE(slow.wait_ns, carried);
  EXPECT_GT(slow.wait_ns, carried - 1000 * static_cast<double>(offloaded().operations.size()));
  EXPECT_LT(slow.live_bytes, with_link({.bandwidth = bandwidth, .in_flight = 1000}).live_bytes);
}

// By hand: a copy that takes 1000 ns beside operations of 600 ns; one is between it and who awaits it.
TEST(CopySchedule, waits_are_what_the_operations_between_leave) {
  Program program = offloaded();
  schedule_copies(program, times_of(program), {.bandwidth = 1, .in_flight = 1000});
  for (Operation& op : program.operations)
    if (op.kind->copies) op.complete_before = -1;
  std::size_t copy = 0;
  while (!program.operations[copy].kind->copies || program.operations[copy + 1].kind->copies) ++copy;
  program.operations[copy].complete_before = static_cast<int>(copy) + 2;
  const auto bytes = static_cast<double>(copied_bytes(program, program.operations[copy]));
  const OperationTimes waits = copy_waits(program, times_of(program, 600), bytes / 1000 * 1e9);
  EXPECT_NEAR(waits[copy], 400, 1e-6);
}

TEST(CopySchedule, roofline_times_of_copies_are_their_waits) {
  Program program = offloaded();
  Card card{.name = "some", .fp32_flops = 1e12, .bf16_flops = 1e13, .bandwidth = 1e11, .host_bandwidth = 1e9};
  schedule_copies(program, roofline_times(program, card), {.bandwidth = card.host_bandwidth});
  const OperationTimes times = roofline_times(program, card), waits = copy_waits(program, times, card.host_bandwidth);
  double sum = 0, others = 0;
  for (std::size_t i = 0; i < times.size(); ++i) {
    if (program.operations[i].kind->copies) {
      EXPECT_EQ(times[i], waits[i]);
    }
    (program.operations[i].kind->copies ? sum : others) += times[i];
  }
  EXPECT_GT(sum, 0);
  EXPECT_NEAR(step_time_ns(program, times), sum + others, 1e-6 * others);
}

// Any program, any of what is kept sent away, any link and window: the rules hold, and what is trained is the same.
TEST(CopySchedule, random_programs_keep_every_rule) {
  std::mt19937 random(3);
  const auto between = [&](double low, double high) { return std::uniform_real_distribution(low, high)(random); };
  std::size_t copies = 0, beside = 0;
  for (int trial = 0; trial < 200; ++trial) {
    SCOPED_TRACE(trial);
    const Program plain = testing::random_forward(random);
    const KeepSet keep = testing::random_keep(plain, random);
    KeepSet sent;
    for (const ValueId id : keep)
      if (keepable(plain).contains(id) && between(0, 1) < 0.6) sent.insert(id);
    Program forward = plain;
    send_to_host(forward, sent);
    Program program = differentiate(forward, keep);
    OperationTimes times = times_of(program);
    for (double& ns : times) ns *= between(0.1, 3);
    HostLink link{.bandwidth = std::exp(between(std::log(1e6), std::log(1e12)))};
    if (trial % 2 == 0) link.in_flight = trial / 2 % 5;
    schedule_copies(program, times, link);
    const StateHistories histories = state_histories(differentiate(plain, keepable(plain)));
    ASSERT_NO_THROW(verify(program, &histories));
    const MemoryPlan plan = plan_memory(program);
    ASSERT_NO_THROW(verify(program, plan));
    EXPECT_EQ(plan.host_arena_bytes, plan.host_largest_live_bytes);
    for (const Operation& op : program.operations) copies += op.kind->copies, beside += op.runs_beside();
  }
  EXPECT_GT(copies, 400U);
  EXPECT_GT(beside, copies / 2);
}

TEST(CopySchedule, repeats_still_name_their_originals) {
  testing::StepCase c{.preset = "tiny", .precision = "bf16"};
  const Program plain = testing::forward_of(c);
  Program forward = plain;
  const KeepSet keep = keep_outside(plain, {"MLPBlock"});
  send_to_host(forward, made_inside(forward, keep, "AttentionBlock", "offload"));
  Program program = differentiate(forward, keep);
  schedule_copies(program, times_of(program), {.bandwidth = 1e10});
  const StateHistories histories = state_histories(differentiate(plain, keepable(plain)));
  EXPECT_NO_THROW(verify(program, &histories));
}

}  // namespace
}  // namespace stepscope
