// Laws of masks: a token changes no logits before it; a padded tail changes nothing; nothing is NaN, not even an empty row.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/step_run.h"

namespace stepscope::testing {
namespace {

const auto without_dropout = [](ModelSettings& m) { m.dropout = 0; };

class CausalLaw : public ::testing::TestWithParam<std::tuple<const char*, const char*, const char*>> {};

TEST_P(CausalLaw, changing_a_token_leaves_earlier_logits_to_the_bit) {
  const auto [preset, precision, attention] = GetParam();
  StepSetting setting{.preset = preset, .precision = precision, .global_batch = 1};
  setting.change_model = [&](ModelSettings& m) { m.dropout = 0, m.attention = attention; };
  const StepResult before = run_step_of(setting);
  constexpr std::size_t changed = 13, sequence = 32, vocabulary = 256;
  setting.change_tokens = [](std::vector<std::int32_t>& tokens) { tokens[changed] ^= 1; };
  const StepResult after = run_step_of(setting);
  const auto differs = [&](std::size_t t) {
    return !std::equal(before.logits.begin() + static_cast<std::ptrdiff_t>(t * vocabulary),
                       before.logits.begin() + static_cast<std::ptrdiff_t>((t + 1) * vocabulary),
                       after.logits.begin() + static_cast<std::ptrdiff_t>(t * vocabulary));
  };
  for (std::size_t t = 0; t < sequence; ++t) EXPECT_EQ(differs(t), t >= changed) << t;
}

INSTANTIATE_TEST_SUITE_P(Types, CausalLaw,
                         ::testing::Combine(::testing::Values("tiny", "gpt2-tiny", "llama-tiny", "qwen3-tiny"),
                                            ::testing::Values("fp32", "bf16", "fp16"),
                                            ::testing::Values("fused", "materialised")));

class PaddingLaw : public ::testing::TestWithParam<const char*> {};

TEST_P(PaddingLaw, what_lies_past_a_length_changes_nothing) {
  StepSetting setting{
      .preset = GetParam(), .precision = "fp32", .unequal_lengths = true, .change_model = without_dropout};
  const StepResult before = run_step_of(setting);
  // The last token of every row that is not whole lies past its length: with seed 11 most rows are shorter.
  setting.change_tokens = [](std::vector<std::int32_t>& tokens) {
    tokens[31] ^= 1, tokens[32 + 31] ^= 1;
  };  // rows 0 and 1 have lengths 0 and 1
  const StepResult after = run_step_of(setting);
  EXPECT_EQ(before.loss, after.loss);
  for (const auto& [name, gradient] : before.gradients)
    if (name != "embedding") {  // an untouched token's row stays, only which row is untouched changes
      EXPECT_EQ(gradient, after.gradients.at(name)) << name;
    }
  EXPECT_EQ(before.gradients.at("embedding"), after.gradients.at("embedding"));
}

INSTANTIATE_TEST_SUITE_P(Presets, PaddingLaw, ::testing::Values("tiny", "gpt2-tiny", "llama-tiny", "qwen3-tiny"),
                         [](const auto& info) { return std::string(info.param).substr(0, 4); });

class MaskLaw : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Presets, MaskLaw, ::testing::Values("tiny", "gpt2-tiny", "llama-tiny", "qwen3-tiny"),
                         [](const auto& info) { return std::string(info.param).substr(0, 4); });

TEST_P(MaskLaw, nothing_is_nan_with_empty_rows) {
  for (const char* attention : {"fused", "materialised"}) {
    StepSetting setting{.preset = GetParam(), .precision = "bf16", .unequal_lengths = true};
    setting.change_model = [&](ModelSettings& m) { m.attention = attention; };
    const StepResult result = run_step_of(setting);
    EXPECT_TRUE(std::isfinite(result.loss));
    for (const float logit : result.logits) ASSERT_TRUE(std::isfinite(logit));
    for (const auto& [name, gradient] : result.gradients)
      for (const float g : gradient) ASSERT_TRUE(std::isfinite(g)) << name;
  }
}

}  // namespace
}  // namespace stepscope::testing
