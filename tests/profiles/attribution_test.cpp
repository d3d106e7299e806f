// Rows sum to the step, to the nanosecond; work is the program's.
#include "profiles/attribution.h"

#include <gtest/gtest.h>

#include "model/program/cost.h"
#include "profiles/ledger.h"
#include "tests/support/programs.h"

namespace stepscope {
namespace {

// Two steps in which operation i of micro-step m takes 100 + i ns, with 7 ns between operations.
Trace trace_of(const Program& p) {
  Trace trace;
  std::int64_t now = 0;
  for (int step = 0; step < 2; ++step) {
    const std::int64_t begin = now;
    for (int m = 0; m < p.micro_steps; ++m)
      for (int i = 0; i < static_cast<int>(p.operations.size()); ++i) {
        if (p.operations[static_cast<std::size_t>(i)].section != Section::micro) continue;
        now += 7;
        trace.spans.push_back({i, m, step, now, now + 100 + i});
        now += 100 + i;
      }
    trace.steps.push_back({begin, now});
  }
  return trace;
}

TEST(Attribution, rows_and_gaps_sum_to_the_step) {
  const Program p = testing::step_of({"tiny", "bf16", std::string("TransformerBlock"), 2});
  const Trace trace = trace_of(p);
  const std::vector<AttributedTime> rows = attribute(p, trace);
  double sum_ns = 0;
  std::int64_t flops = 0;
  for (const AttributedTime& row : rows) sum_ns += row.time_ns, flops += row.flops;
  EXPECT_DOUBLE_EQ(sum_ns, static_cast<double>(trace.steps.back().end_ns) / 2);
  EXPECT_EQ(flops, step_flops(p).launched);
  EXPECT_EQ(rows.back().operation, "gaps");
  EXPECT_DOUBLE_EQ(rows.back().time_ns, 7.0 * static_cast<double>(trace.spans.size()) / 2);
}

TEST(Attribution, by_work_it_is_the_same_time) {
  const Program p = testing::step_of({"tiny", "bf16", std::string("TransformerBlock"), 2});
  const Trace trace = trace_of(p);
  double by_place_ns = 0, by_work_ns = 0;
  std::int64_t runs = 0;
  for (const AttributedTime& row : attribute(p, trace)) by_place_ns += row.operation == "gaps" ? 0 : row.time_ns;
  for (const TimedWork& row : time_by_work(p, trace)) {
    by_work_ns += row.time_ns;
    runs += row.work.phase == "prologue" || row.work.phase == "update" ? 0 : row.count;
  }
  EXPECT_NEAR(by_work_ns, by_place_ns, 1e-6 * by_place_ns);
  EXPECT_EQ(runs, static_cast<std::int64_t>(trace.spans.size()) / 2);
  EXPECT_TRUE(time_by_work(p, {}).empty());
}

TEST(Attribution, keeps_a_repeat_apart_from_its_original) {
  const Program p = testing::step_of({"tiny", "fp32", std::string("MLPBlock"), 1});
  int gelus = 0;
  for (const AttributedTime& row : attribute(p, trace_of(p)))
    if (row.operation == "gelu" && row.site == "blocks.0.mlp") ++gelus;
  EXPECT_EQ(gelus, 2);  // forward and recompute
}

TEST(Attribution, of_nothing_seen_is_nothing) { EXPECT_TRUE(attribute(testing::step_of({"tiny"}), {}).empty()); }

TEST(Ledger, categories_sum_to_states_and_arena) {
  for (const testing::StepCase& c :
       {testing::StepCase{"tiny"}, testing::StepCase{"seed-small", "bf16", std::string("every-2"), 4}}) {
    const Program p = testing::step_of(c);
    const MemoryPlan plan = plan_memory(p);
    const Ledger ledger = ledger_of(p, plan);
    std::int64_t sum = 0, live = 0;
    for (const auto& [category, bytes] : ledger.by_category) {
      EXPECT_GE(bytes, 0) << category;
      sum += bytes;
    }
    for (const LedgerRow& row : ledger.live_at_peak) {
      live += row.bytes;
      EXPECT_EQ(row.name, std::string(p.operations.at(static_cast<std::size_t>(row.born)).kind->name) + "." +
                              p.value(row.value).name);
    }
    EXPECT_EQ(sum, state_bytes(p).total() + plan.arena_bytes);
    const std::int64_t workspace =
        round_up(p.operations.at(static_cast<std::size_t>(plan.fullest)).workspace_bytes, arena_alignment_bytes);
    EXPECT_EQ(live + workspace, plan.largest_sum_bytes);
    EXPECT_EQ(ledger.by_category.back(), std::pair("idle arena" + std::string(), plan.fragmentation_bytes()));
    EXPECT_EQ(plan.timeline(p).at(static_cast<std::size_t>(plan.fullest)), plan.largest_sum_bytes);
  }
}

TEST(Ledger, categories_sum_at_every_operation) {
  const Program p = testing::step_of({"tiny", "bf16", std::string("every-2"), 2});
  const MemoryPlan plan = plan_memory(p);
  const std::vector<std::int64_t> timeline = plan.timeline(p);
  for (int i = -1; i < static_cast<int>(p.operations.size()); ++i) {
    std::int64_t sum = 0;
    const BytesByCategory categories = bytes_by_category(p, plan, i);
    for (const auto& [category, bytes] : categories) sum += bytes;
    EXPECT_EQ(sum, state_bytes(p).total() + plan.arena_bytes);
    EXPECT_EQ(categories.back().first, "idle arena");
    EXPECT_EQ(plan.arena_bytes - categories.back().second, i < 0 ? 0 : timeline[static_cast<std::size_t>(i)]) << i;
  }
}

}  // namespace
}  // namespace stepscope
