// Attention on tensor cores: beside the CPU machine, and beside loops in double that share nothing with either; every mask, odd
// lengths, tiles that no query sees, rows that see nothing, grouped heads, both narrow types. What they do not take is told
// too.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "model/operations/attention/attention_flash_cuda.cuh"
#include "tests/support/attention_on_card.cuh"

namespace stepscope::testing {

class FlashAttention : public ::testing::TestWithParam<AttentionCase> {};

TEST_P(FlashAttention, is_that_of_the_cpu_and_of_plain_loops_in_any_order_of_threads) {
  const AttentionCase& c = GetParam();
  EXPECT_TRUE(AttentionOnCard(c).takes_tensor_cores());
  expect_attention_of_plain_loops(c);
}

INSTANTIATE_TEST_SUITE_P(
    Masks, FlashAttention,
    ::testing::Values(
        AttentionCase{.name = "unmasked_64", .sequence = 133, .width = 64, .heads = 2},
        AttentionCase{.name = "causal_64", .sequence = 150, .width = 64, .causal = true},
        AttentionCase{.name = "causal_64_fp16", .sequence = 133, .width = 64, .dtype = DType::fp16, .causal = true},
        AttentionCase{.name = "padding_64",
                      .sequence = 70,
                      .width = 64,
                      .batch = 4,
                      .lengths = {70, 33, 0, 65},
                      .micro_steps = 2},
        AttentionCase{.name = "custom_64", .sequence = 140, .width = 64, .heads = 2, .custom = 2},
        AttentionCase{.name = "all_masks_64",
                      .sequence = 135,
                      .width = 64,
                      .heads = 2,
                      .kv_heads = 2,
                      .batch = 2,
                      .causal = true,
                      .lengths = {130, 61},
                      .custom = 1,
                      .micro_steps = 2},
        AttentionCase{.name = "unmasked_128_fp16", .sequence = 67, .width = 128, .heads = 3, .dtype = DType::fp16},
        AttentionCase{.name = "causal_128", .sequence = 101, .width = 128, .heads = 2, .causal = true},
        AttentionCase{.name = "all_masks_128",
                      .sequence = 90,
                      .width = 128,
                      .heads = 2,
                      .kv_heads = 2,
                      .batch = 2,
                      .dtype = DType::fp16,
                      .causal = true,
                      .lengths = {85, 40},
                      .custom = 2,
                      .micro_steps = 2},
        AttentionCase{
            .name = "groups_64", .sequence = 37, .width = 64, .heads = 4, .kv_heads = 2, .batch = 2, .causal = true},
        AttentionCase{.name = "one_key", .sequence = 1, .width = 64},
        AttentionCase{.name = "scores_beyond_exp", .sequence = 40, .width = 64, .causal = true, .deviation = 12},
        AttentionCase{
            .name = "narrow_probabilities", .sequence = 66, .width = 64, .probabilities = DType::bf16, .causal = true}),
    [](const ::testing::TestParamInfo<AttentionCase>& test) { return test.param.name; });

// Keys and values of a tile that nobody sees are no numbers: whoever multiplies them, if by zero, has none either.
namespace {
void expect_hidden_tiles_unread(const AttentionCase& c, std::int64_t first_hidden, std::int64_t past_hidden) {
  AttentionOnCard card(c);
  const std::int64_t queries = c.heads / c.kv_heads, group = (queries + 2) * c.width;
  for (std::int64_t row = first_hidden; row < past_hidden; ++row)
    for (std::int64_t i = 0; i < c.kv_heads * group; ++i)
      if (i % group >= queries * c.width)
        card.qkv[static_cast<std::size_t>(row * c.kv_heads * group + i)] = std::numeric_limits<double>::quiet_NaN();
  card.run();
  for (const std::vector<double>* numbers : {&card.o, &card.dqkv, &card.delta})
    EXPECT_TRUE(std::all_of(numbers->begin(), numbers->end(), [](double x) { return std::isfinite(x); })) << c.name;
  const std::vector<double>& dqkv = card.dqkv;  // nobody's gradient passes to them
  for (std::int64_t row = first_hidden; row < past_hidden; ++row)
    for (std::int64_t i = 0; i < c.kv_heads * group; ++i)
      EXPECT_TRUE(i % group < queries * c.width || dqkv[static_cast<std::size_t>(row * c.kv_heads * group + i)] == 0);
}
}  // namespace

TEST(FlashAttentionTiles, that_no_query_sees_are_not_read) {
  for (const std::int64_t width : {64, 128}) {
    expect_hidden_tiles_unread({.name = "padding", .sequence = 140, .width = width, .lengths = {64}}, 64, 140);
    AttentionCase custom{.name = "custom", .sequence = 130, .width = width, .dtype = DType::fp16, .custom = 1};
    custom.hidden_keys = 64;
    expect_hidden_tiles_unread(custom, 0, 64);
  }
}

// Keys later than every query of a tile: the rows of the tiles before have numbers still.
TEST(FlashAttentionTiles, later_than_their_queries_are_not_read) {
  const AttentionCase c{.name = "causal", .sequence = 200, .width = 128, .causal = true};
  AttentionOnCard card(c);
  for (std::size_t i = static_cast<std::size_t>(128 * 3 * c.width); i < card.qkv.size(); ++i)
    card.qkv[i] = std::numeric_limits<double>::quiet_NaN();
  card.run_forward();
  for (std::size_t i = 0; i < static_cast<std::size_t>(128 * c.width); ++i) ASSERT_TRUE(std::isfinite(card.o[i])) << i;
  EXPECT_TRUE(std::isnan(card.o.back()));
}

// Its sum of exponentials is beyond a float's range: were it asked of what lies past the last query, an infinity would meet a
// zero.
TEST(FlashAttentionTiles, past_the_last_query_add_nothing_where_scores_are_far_below_zero) {
  const AttentionCase c{.name = "far", .sequence = 70, .width = 64};
  AttentionOnCard card(c);
  for (std::size_t i = 0; i < card.qkv.size(); ++i)
    if (i % 192 < 128) card.qkv[i] = i % 192 < 64 ? 5 : -5;
  card.run();
  EXPECT_LT(card.lse[0], -190);
  for (const double x : card.dqkv) ASSERT_TRUE(std::isfinite(x));
}

// Three keys of weight 1/3, dp = 5, -5, 0 and delta = 0: ds = 5 / 24 or, of 1/3 rounded to bf16 first, 5 x 0.333984375 / 8, and then
// rounded to bf16, 213 or 214 of 1024.
TEST(FlashAttentionRounding, of_weights_reaches_their_gradients_where_it_is_asked_for) {
  for (const DType probabilities : {DType::fp32, DType::bf16}) {
    AttentionOnCard card({.name = "thirds", .sequence = 3, .width = 64, .probabilities = probabilities});
    std::fill(card.qkv.begin(), card.qkv.end(), 0.0);
    std::fill(card.dout.begin(), card.dout.end(), 0.0);
    for (std::size_t key = 0; key < 3; ++key) card.qkv[192 * key + 64 + key] = 1;  // k, and v below
    card.qkv[128] = 5;
    card.qkv[192 + 128] = -5;
    card.dout[0] = 1;
    card.run();
    const double ds = (probabilities == DType::bf16 ? 214 : 213) / 1024.0;
    EXPECT_EQ(card.dqkv[0], ds);
    EXPECT_EQ(card.dqkv[1], -ds);
    EXPECT_EQ(card.dqkv[2], 0);
  }
}

// Of attention_cuda.cu then, which takes every one.
TEST(FlashAttentionChoice, leaves_other_widths_types_roundings_and_alignments_to_the_general_kernels) {
  const AttentionCase taken{.name = "taken", .sequence = 3, .width = 64};
  EXPECT_TRUE(AttentionOnCard(taken).takes_tensor_cores());
  AttentionCase c = taken;
  c.width = 32;
  EXPECT_FALSE(AttentionOnCard(c).takes_tensor_cores());
  c = taken;
  c.dtype = DType::fp32;
  EXPECT_FALSE(AttentionOnCard(c).takes_tensor_cores());
  c = taken;
  c.probabilities = DType::fp16;
  EXPECT_FALSE(AttentionOnCard(c).takes_tensor_cores());
  EXPECT_FALSE(AttentionOnCard(taken, 2).takes_tensor_cores());
}

}  // namespace stepscope::testing
