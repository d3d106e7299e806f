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

}  // namespace
}  // namespace stepscope
