// What a keep-set may and may not change, on random programs and random sets.
#include "model/program/gradient.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "model/program/cost.h"
#include "model/program/verify.h"
#include "model/techniques/checkpointing.h"
#include "tests/support/programs.h"

namespace stepscope {
namespace {

std::int64_t repeats(const Program& p) {
  return std::count_if(p.operations.begin(), p.operations.end(),
                       [](const Operation& op) { return op.phase == Phase::recompute; });
}

TEST(Differentiate, any_keep_set_leaves_every_history_as_it_was) {
  std::mt19937 random(1);
  int with_repeats = 0;
  for (int trial = 0; trial < 200; ++trial) {
    const Program forward = testing::random_forward(random);
    const StateHistories kept = state_histories(differentiate(forward, keepable(forward)));
    const Program p = differentiate(forward, testing::random_keep(forward, random));
    ASSERT_NO_THROW(verify(p, &kept)) << "trial " << trial;
    with_repeats += repeats(p) > 0;
  }
  EXPECT_GT(with_repeats, 100);
}

TEST(Differentiate, keeping_everything_repeats_nothing_and_keeping_nothing_repeats_each_operation_at_most_once) {
  std::mt19937 random(2);
  for (int trial = 0; trial < 50; ++trial) {
    const Program forward = testing::random_forward(random);
    EXPECT_EQ(repeats(differentiate(forward, keepable(forward))), 0);
    const Program nothing_kept = differentiate(forward, {});
    std::set<int> repeated;
    for (const Operation& op : nothing_kept.operations)
      if (op.phase == Phase::recompute) {
        EXPECT_TRUE(repeated.insert(op.original).second);
      }
  }
}

TEST(Differentiate, values_that_backward_never_reads_change_nothing_in_a_keep_set) {
  const Program forward = testing::forward_of({"tiny"});
  KeepSet more = keepable(forward);
  const std::size_t count = more.size();
  for (int v = 0; v < static_cast<int>(forward.values.size()); ++v) more.insert({v});
  ASSERT_GT(more.size(), count);
  EXPECT_EQ(differentiate(forward, more).operations.size(),
            differentiate(forward, keepable(forward)).operations.size());
}

TEST(Differentiate, an_operation_that_writes_a_state_is_never_repeated) {
  const Program forward = testing::forward_of({"tiny"});
  const Program p = differentiate(forward, {});
  EXPECT_EQ(std::count_if(p.operations.begin(), p.operations.end(),
                          [](const Operation& op) { return op.kind->name == "cross_entropy"; }),
            1);
}

TEST(Differentiate, a_parameter_that_is_read_twice_has_one_gradient_written_twice) {
  // The second block's Dense reads the first one's weight.
  Program forward = testing::forward_of({"tiny"});
  std::vector<std::size_t> ups;
  for (std::size_t i = 0; i < forward.operations.size(); ++i)
    if (forward.site(forward.operations[i].site).path.ends_with("mlp.up")) ups.push_back(i);
  ASSERT_EQ(ups.size(), 2U);
  forward.operations[ups[1]].ins[1] = forward.operations[ups[0]].ins[1];
  const Program p = differentiate(forward, keepable(forward));
  std::vector<Accumulate> writes;
  const StateId gradient = p.belonging_to(forward.operations[ups[0]].ins[1].state(), StateKind::gradient);
  for (const Operation& op : p.operations)
    for (const Write& write : op.writes)
      if (write.state == gradient) writes.push_back(write.accumulate);
  EXPECT_EQ(writes, (std::vector{Accumulate::after_first, Accumulate::always}));
}

// The head's weight gradient comes first and overwrites what the step before left; the embedding's scatter adds to it.
TEST(Differentiate, a_tied_embedding_has_one_gradient_written_by_the_head_and_added_to_by_the_embedding) {
  for (const char* precision : {"fp32", "bf16"}) {
    const Program p = testing::step_of({"gpt2-tiny", precision, std::string("TransformerBlock"), 2});
    ASSERT_LT(p.find_state("head.weight").index, 0);
    const StateId gradient = p.find_state("gradient.embedding");
    std::vector<std::pair<std::string, Accumulate>> writers;
    for (const Operation& op : p.operations)
      for (const Write& write : op.writes)
        if (write.state == gradient) writers.emplace_back(op.kind->name, write.accumulate);
    EXPECT_EQ(writers,
              (std::vector<std::pair<std::string, Accumulate>>{{"linear_weight_gradient", Accumulate::after_first},
                                                               {"embedding_gradient", Accumulate::always}}));
    // Matmuls read the copy, the lookup reads the parameter itself.
    EXPECT_EQ(p.find_state("copy.embedding").index >= 0, std::string_view(precision) == "bf16");
  }
}

TEST(Checkpointing, recomputes_the_share_of_the_seed_that_its_page_states) {
  const auto share = [](const Choice& checkpointing, const char* attention) {
    const Program p = testing::step_of({"seed", "bf16", checkpointing, 4, attention});
    double own = 0, repeated = 0;
    for (const Operation& op : p.operations)
      (op.phase == Phase::recompute ? repeated : own) += static_cast<double>(cost_of(p, op).flops);
    return 100 * repeated / own;
  };
  const Choice both = std::vector<std::string>{"MLPBlock", "AttentionBlock"};
  EXPECT_NEAR(share(both, "fused"), 20.0, 0.05);
  EXPECT_NEAR(share(both, "materialised"), 20.3, 0.05);
  EXPECT_NEAR(share(std::string("TransformerBlock"), "fused"), 30.0, 0.05);
  EXPECT_NEAR(share(std::string("TransformerBlock"), "materialised"), 30.4, 0.05);
}

TEST(Checkpointing, of_attention_alone_drops_only_its_statistics_when_it_is_fused) {
  const Program forward = testing::forward_of({"tiny"});
  const KeepSet all = keepable(forward), keep = keep_outside(forward, {"attention"});
  for (const ValueId id : all)
    if (!keep.contains(id)) {
      EXPECT_EQ(forward.value(id).name, "lse");
    }
  EXPECT_EQ(all.size() - keep.size(), 2U);
}

TEST(Checkpointing, every_1_is_each_block_and_every_layer_count_is_all_of_them) {
  const Program forward = testing::forward_of({"tiny"});
  EXPECT_EQ(keep_every(forward, 1), keep_outside(forward, {"TransformerBlock"}));
  EXPECT_LT(keep_every(forward, 2).size(), keep_every(forward, 1).size());
}

}  // namespace
}  // namespace stepscope
