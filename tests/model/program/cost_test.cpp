#include "model/program/cost.h"

#include <gtest/gtest.h>

#include "tests/support/programs.h"

namespace stepscope {
namespace {

// Of a micro-step of 16 rows; derived by hand: 6 tokens weights for the matmuls, 7 of attention's (2 forward, 5 backward).
TEST(Cost, of_the_seed_is_its_matmuls) {
  const Program p = testing::step_of({"seed", "bf16", std::string("none"), 4});
  std::int64_t full = 0, causal = 0;
  for (const Operation& op : p.operations) full += cost_of(p, op).flops, causal += cost_of(p, op).causal_flops;
  const std::int64_t tokens = 16 * 512, weights = 12 * 12 * 1024 * 1024 + 1024 * 2048;
  const std::int64_t attention = std::int64_t{12} * 2 * 16 * 8 * 512 * 512 * 128;
  EXPECT_EQ(full, 6 * tokens * weights + 7 * attention);
  EXPECT_EQ(full, 8'246'337'208'320);
  EXPECT_EQ(causal, 7'885'559'955'456);
  EXPECT_EQ(step_flops(p).launched, 4 * causal);
  EXPECT_EQ(step_flops(p).model, 4 * (6 * tokens * weights + 3 * attention));
  EXPECT_EQ(step_flops(p).recomputed, 0);
}

TEST(Cost, roofline_takes_the_slower_of_arithmetic_and_memory) {
  const Program p = testing::step_of({"tiny"});
  Card card{.name = "round", .fp32_flops = 1e12, .bandwidth = 1e30};
  const double compute_bound = step_time_ns(p, roofline_times(p, card));
  EXPECT_NEAR(compute_bound, static_cast<double>(step_flops(p).launched) / 1e12 * 1e9, 1);
  card.bandwidth = 1e9;
  card.fp32_flops = 1e30;
  double bytes = 0;
  for (const Operation& op : p.operations)
    bytes += static_cast<double>(cost_of(p, op, 0).read_bytes + cost_of(p, op, 0).written_bytes);
  EXPECT_NEAR(step_time_ns(p, roofline_times(p, card)), bytes, bytes * 1e-9);
}

TEST(Cost, a_write_that_adds_to_earlier_micro_steps_reads_nothing_in_the_first) {
  const Program p = testing::step_of({.accumulation = 4});
  std::int64_t gradients = 0, more = 0;
  for (const Operation& op : p.operations) {
    const OperationCost first = cost_of(p, op, 0), later = cost_of(p, op, 1);
    if (op.kind->by_rows) {
      EXPECT_LE(later.read_bytes + later.written_bytes, 4 * first.written_bytes) << op.kind->name;
      continue;
    }
    EXPECT_EQ(first.written_bytes, later.written_bytes);
    more += later.read_bytes - first.read_bytes;
    for (const Write& write : op.writes)
      if (write.accumulate == Accumulate::after_first) gradients += p.state(write.state).type.size_bytes();
  }
  EXPECT_GT(gradients, 0);
  EXPECT_EQ(more, gradients);
}

TEST(Cost, of_a_table_only_the_rows_that_are_looked_up_move) {
  Program p = testing::step_of({});
  for (const Operation& op : p.operations) {
    if (!op.kind->by_rows || op.outs.empty()) continue;
    const std::int64_t out = p.value(op.outs[0]).type.size_bytes();
    EXPECT_LE(cost_of(p, op).read_bytes, 3 * out) << "tokens, rows of the table, positions";
  }
}

TEST(Cost, bytes_have_the_rate_of_the_smallest_cache_that_may_hold_them) {
  const Card card{.name = "cached", .levels = {{1'000, 100e9}, {10'000, 50e9}, {1'000'000, 10e9}}};
  EXPECT_DOUBLE_EQ(memory_floor_ns(card, 1'000), 10);
  EXPECT_DOUBLE_EQ(memory_floor_ns(card, 40'000),
                   600);  // 30,000 beyond what is faster than 50 GB/s, against 40,000 at 100
  double last = 0, last_slope = 0;
  for (double bytes = 0; bytes < 4e6;
       bytes += 1e3) {  // rises, ever steeper, and is never more than the slowest rate asks
    const double floor = memory_floor_ns(card, bytes);
    EXPECT_GE(floor - last, last_slope - 1e-6);
    last_slope = floor - last;
    last = floor;
    EXPECT_LE(floor, bytes / 10);
  }
}

}  // namespace
}  // namespace stepscope
