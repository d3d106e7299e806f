// Ranges of a step: whole, rightly nested, with all of its work.
#include "profiles/nesting.h"

#include <gtest/gtest.h>

#include <random>

#include "model/program/cost.h"
#include "model/program/operation.h"
#include "tests/support/programs.h"

namespace stepscope {
namespace {

using Level = NestedRange::Level;

// Walks operations as an executor would and holds each operation's surroundings against the program.
void check(const Program& p) {
  const Nesting nesting = nesting_of(p);
  std::vector<const NestedRange*> open;
  std::int64_t leaf_flops = 0;
  for (std::size_t i = 0; i < p.operations.size(); ++i) {
    const Operation& op = p.operations[i];
    for (const NestedRange& range : nesting.opens_before(static_cast<int>(i))) open.push_back(&range);
    ASSERT_FALSE(open.empty());
    EXPECT_EQ(open.back()->level, Level::operation);
    EXPECT_EQ(open.back()->name, op.kind->name);
    EXPECT_EQ(open.back()->flops, cost_of(p, op).causal_flops);
    for (const int m : {0, 1}) {
      const OperationCost cost = cost_of(p, op, m);
      EXPECT_EQ(open.back()->bytes(m), cost.read_bytes + cost.written_bytes);
    }
    leaf_flops += open.back()->flops * (op.section == Section::micro ? p.micro_steps : 1);
    std::string path, phase;
    int micro_steps = 0;
    for (const NestedRange* range : open) {
      if (range->level == Level::layer) path += (path.empty() ? "" : ".") + range->name;
      if (range->level == Level::phase) phase = range->name;
      micro_steps += range->level == Level::micro_step;
    }
    EXPECT_EQ(path, p.site(op.site).path);
    EXPECT_EQ(phase, name_of(op.phase));
    EXPECT_EQ(micro_steps, op.section == Section::micro ? 1 : 0);
    ASSERT_LE(nesting.closes_after[i], static_cast<int>(open.size()));
    open.resize(open.size() - static_cast<std::size_t>(nesting.closes_after[i]));
  }
  EXPECT_TRUE(open.empty());
  EXPECT_EQ(nesting.ranges.front().level, Level::step);
  EXPECT_EQ(nesting.ranges.front().flops, leaf_flops);
}

TEST(Nesting, follows_sites_and_phases_of_presets) {
  for (const testing::StepCase& c :
       {testing::StepCase{"tiny"}, testing::StepCase{"tiny", "bf16", std::string("every-2"), 4}}) {
    const Program p = testing::step_of(c);
    check(p);
    EXPECT_EQ(nesting_of(p).ranges.front().flops, step_flops(p).launched);
  }
}

TEST(Nesting, follows_sites_and_phases_of_random_programs) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const Program forward = testing::random_forward(random);
    check(differentiate(forward, testing::random_keep(forward, random)));
  }
}

TEST(Nesting, a_layer_that_is_not_left_is_one_range) {
  const Program p = testing::step_of({"tiny"});  // blocks.0.mlp: norm, up, gelu, down, dropout_add
  int ranges = 0;
  for (const NestedRange& range : nesting_of(p).ranges)
    ranges += range.level == Level::layer && range.phase == Phase::forward && p.site(range.site).path == "blocks.0.mlp";
  EXPECT_EQ(ranges, 1);
}

TEST(Nesting, of_an_empty_program_is_a_step) {
  const Nesting nesting = nesting_of({});
  EXPECT_EQ(nesting.ranges.size(), 1U);
  EXPECT_EQ(nesting.first_opened, std::vector<int>{1});
}

}  // namespace
}  // namespace stepscope
