// Attention by cuDNN beside loops in double: on a card the real library's, on host SIMT its operation graph (tests/support/cudnn_stand_in).
// Every mask that it takes, rows of no token, grouped heads, both narrow types, and the heads of every preset.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "model/base/half.h"
#include "model/cuda/cudnn_attention.h"
#include "model/layers/model_settings.h"
#include "tests/support/attention_on_card.cuh"

namespace stepscope::testing {

namespace {

// Of heads in groups [kv_heads, B, queries, S], as [B, heads, S].
std::vector<double> by_rows(const AttentionCase& c, std::int64_t batch, const std::vector<double>& lse) {
  const std::int64_t queries = c.heads / c.kv_heads;
  if (queries == 1) return lse;
  std::vector<double> turned(lse.size());
  for (std::int64_t b = 0; b < batch; ++b)
    for (std::int64_t head = 0; head < c.heads; ++head)
      for (std::int64_t s = 0; s < c.sequence; ++s)
        turned[static_cast<std::size_t>((b * c.heads + head) * c.sequence + s)] =
            lse[static_cast<std::size_t>(((head / queries * batch + b) * queries + head % queries) * c.sequence + s)];
  return turned;
}

void expect_library_of_plain_loops(AttentionCase c) {
  c.by_library = true;
  const CaseProgram made = c.make();
  AttentionOnCard card(c);
  for (int micro = 0; micro < c.micro_steps; ++micro) {
    card.run(micro);
    const auto share = [&](const std::vector<double>& all) {  // as the card has it
      const auto count = static_cast<std::ptrdiff_t>(all.size()) / c.micro_steps;
      std::vector<double> mine(all.begin() + micro * count, all.begin() + (micro + 1) * count);
      if (c.dtype == DType::fp16)
        for (double& x : mine) x = load(to_fp16(static_cast<float>(x)));
      return mine;
    };
    const PlainAttention plain = c.plain(made, micro, share(card.qkv), share(card.dout));
    expect_within("o", card.o, plain.o);
    expect_within("lse", by_rows(c, c.batch / c.micro_steps, card.lse), plain.lse);
    expect_within("dqkv", card.dqkv, plain.dqkv);
  }
}

std::vector<AttentionCase> heads_of_presets() {
  std::set<std::tuple<std::int64_t, std::int64_t>> met;
  std::vector<AttentionCase> cases;
  for (const Preset& preset : presets()) {
    const ModelSettings model = resolved(preset.model);
    const std::int64_t queries = model.heads / model.kv_heads, kv_heads = std::min<std::int64_t>(2, model.kv_heads);
    if (model.head_dim % 8 != 0 || !met.insert({queries, model.head_dim}).second) continue;
    cases.push_back({.name = "heads_of_" + std::string(preset.name),
                     .sequence = 17,
                     .width = model.head_dim,
                     .heads = kv_heads * queries,
                     .kv_heads = kv_heads,
                     .causal = true});
    for (char& letter : cases.back().name)
      if (std::isalnum(static_cast<unsigned char>(letter)) == 0) letter = '_';
  }
  return cases;
}

std::string name_of_case(const ::testing::TestParamInfo<AttentionCase>& test) { return test.param.name; }

}  // namespace

class CudnnAttentionOnCard : public ::testing::TestWithParam<AttentionCase> {
 protected:
  void SetUp() override {
    if (const std::string why = why_no_cudnn(); !why.empty()) GTEST_SKIP() << why;
  }
};

TEST_P(CudnnAttentionOnCard, is_that_of_plain_loops) { expect_library_of_plain_loops(GetParam()); }

INSTANTIATE_TEST_SUITE_P(
    Masks, CudnnAttentionOnCard,
    ::testing::Values(
        AttentionCase{.name = "causal", .sequence = 128, .width = 16, .heads = 2, .kv_heads = 2, .causal = true},
        AttentionCase{.name = "unmasked_fp16", .sequence = 128, .width = 16, .dtype = DType::fp16},
        AttentionCase{.name = "odd_length", .sequence = 37, .width = 24, .heads = 3, .kv_heads = 3},
        AttentionCase{.name = "padding",
                      .sequence = 33,
                      .width = 32,
                      .heads = 2,
                      .kv_heads = 2,
                      .batch = 4,
                      .lengths = {33, 12, 0, 1},
                      .micro_steps = 2},
        AttentionCase{.name = "causal_padding_fp16",
                      .sequence = 20,
                      .width = 64,
                      .batch = 3,
                      .dtype = DType::fp16,
                      .causal = true,
                      .lengths = {20, 0, 7}},
        AttentionCase{.name = "grouped_padding",
                      .sequence = 21,
                      .width = 32,
                      .heads = 6,
                      .kv_heads = 2,
                      .batch = 4,
                      .causal = true,
                      .lengths = {21, 5, 0, 18},
                      .micro_steps = 2},
        AttentionCase{.name = "grouped", .sequence = 128, .width = 8, .heads = 4, .kv_heads = 1},
        AttentionCase{.name = "scores_beyond_exp", .sequence = 40, .width = 64, .causal = true, .deviation = 12}),
    name_of_case);
INSTANTIATE_TEST_SUITE_P(Presets, CudnnAttentionOnCard, ::testing::ValuesIn(heads_of_presets()), name_of_case);

}  // namespace stepscope::testing
