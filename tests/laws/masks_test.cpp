// Laws of masks: a token changes no logits before it; a padded tail changes nothing; a token that nobody may see changes its own logits
// alone; masks combine by and; nothing is NaN, not even in a row that sees nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "model/base/tolerance.h"
#include "tests/support/families.h"

namespace stepscope::testing {
namespace {

// One micro-step, so that rows are cut alike; no dropout, so that no element is hidden by chance.
std::vector<StepSetting> steps_with(const std::string& mask) {
  std::vector<StepSetting> list = every_small_step();
  std::erase_if(list, [&](const StepSetting& s) { return std::count(s.mask->begin(), s.mask->end(), mask) == 0; });
  for (StepSetting& setting : list) {
    setting.micro_steps = 1;
    setting.change_model = [of_family = setting.change_model](ModelSettings& m) {
      of_family(m);
      m.dropout = 0;
    };
  }
  return list;
}

constexpr std::size_t sequence = 9, rows = 4, changed_row = 2, changed_column = 4;

void change(std::int32_t& token) { token = token == 0 ? 1 : 0; }
void change_one(std::vector<std::int32_t>& tokens) { change(tokens[changed_row * sequence + changed_column]); }

// Of every token of the batch, row after row.
std::vector<bool> logits_that_differ(const StepResult& a, const StepResult& b) {
  const std::size_t vocabulary = a.logits.size() / (rows * sequence);
  std::vector<bool> differs;
  for (std::size_t token = 0; token < rows * sequence; ++token) {
    const auto begin = static_cast<std::ptrdiff_t>(token * vocabulary),
               end = static_cast<std::ptrdiff_t>((token + 1) * vocabulary);
    differs.push_back(!std::equal(a.logits.begin() + begin, a.logits.begin() + end, b.logits.begin() + begin));
  }
  return differs;
}

TEST(CausalLaw, changing_a_token_leaves_other_rows_and_earlier_logits_to_the_bit) {
  for (StepSetting setting : steps_with("causal")) {
    const StepResult before = run_step_of(setting);
    setting.change_tokens = change_one;
    const std::vector<bool> differs = logits_that_differ(before, run_step_of(setting));
    for (std::size_t token = 0; token < differs.size(); ++token) {
      const bool may = token / sequence == changed_row && token % sequence >= changed_column;
      EXPECT_TRUE(may || !differs[token]) << setting.name << " token " << token;
    }
    EXPECT_TRUE(differs[changed_row * sequence + changed_column]) << setting.name;
  }
}

TEST(CausalLaw, every_later_token_sees_it) {
  for (StepSetting setting : steps_with("causal")) {
    if (setting.mask->size() > 1) continue;  // others hide some of them
    const StepResult before = run_step_of(setting);
    setting.change_tokens = change_one;
    const std::vector<bool> differs = logits_that_differ(before, run_step_of(setting));
    for (std::size_t column = changed_column; column < sequence; ++column)
      EXPECT_TRUE(differs[changed_row * sequence + column]) << setting.name << " column " << column;
  }
}

TEST(PaddingLaw, what_lies_past_a_length_changes_nothing) {
  for (StepSetting setting : steps_with("padding")) {
    const StepResult before = run_step_of(setting);
    // Rows 0 and 1 have lengths 0 and 1.
    setting.change_tokens = [](std::vector<std::int32_t>& tokens) {
      change(tokens[sequence - 1]);
      change(tokens[sequence + 1]);
    };
    StepResult after = run_step_of(setting);
    const std::vector<bool> differs = logits_that_differ(before, after);
    for (std::size_t token = 0; token < differs.size(); ++token) {
      const bool changed = token == sequence - 1 || token == sequence + 1;
      EXPECT_TRUE(changed || !differs[token]) << setting.name << " token " << token;
    }
    after.logits = before.logits;  // those two may: nobody reads them
    EXPECT_THAT(bitwise_differences(after, before), ::testing::IsEmpty()) << setting.name;
  }
}

// Nobody but itself.
TEST(CustomLaw, a_hidden_token_changes_its_own_logits_alone) {
  for (StepSetting setting : steps_with("custom")) {
    setting.change_mask = [](std::vector<std::uint8_t>& mask) {
      for (std::size_t at = changed_column; at < mask.size(); at += sequence)
        mask[at] = at / sequence % sequence == changed_column ? 1 : 0;
    };
    const StepResult before = run_step_of(setting);
    setting.change_tokens = change_one;
    const std::vector<bool> differs = logits_that_differ(before, run_step_of(setting));
    for (std::size_t token = 0; token < differs.size(); ++token)
      EXPECT_EQ(differs[token], token == changed_row * sequence + changed_column) << setting.name << " token " << token;
  }
}

// The causal mask and the padding written out as one custom mask say what they say themselves, to the rounding of sums whose hidden
// terms are zeros here and left out there.
TEST(MaskLaw, masks_combine_by_and) {
  for (StepSetting setting : steps_with("padding")) {
    if (setting.mask->size() == 1) continue;  // all three
    const StepResult apart = run_step_of(setting);
    setting.change_mask = [](std::vector<std::uint8_t>& mask) {
      for (std::size_t i = 0; i < sequence; ++i)
        for (std::size_t j = i + 1; j < sequence; ++j) mask[i * sequence + j] = 0;
    };
    setting.mask = {"custom", "padding"};
    const StepResult together = run_step_of(setting);
    const DType type = dtype_named(setting.precision).value();
    EXPECT_TRUE(close(together.loss, apart.loss, type)) << setting.name;
    EXPECT_LT(gradient_error(together, apart), tolerance(type).relative) << setting.name;
  }
}

TEST(MaskLaw, nothing_is_nan_where_rows_are_empty_or_see_nothing) {
  for (const StepSetting& setting : every_small_step()) {
    const StepResult result = run_step_of(setting);
    EXPECT_TRUE(std::isfinite(result.loss)) << setting.name;
    for (const float logit : result.logits) ASSERT_TRUE(std::isfinite(logit)) << setting.name;
    for (const auto& [name, gradient] : result.gradients)
      for (const float g : gradient) ASSERT_TRUE(std::isfinite(g)) << setting.name << " " << name;
  }
}

}  // namespace
}  // namespace stepscope::testing
