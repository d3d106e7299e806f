// Law: any number of threads gives the same bits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/families.h"

namespace stepscope::testing {
namespace {

void expect_same_bits(StepSetting setting, std::initializer_list<int> numbers = {2, 3, 4}) {
  setting.threads = 1;
  const StepResult one = run_step_of(setting);
  for (const int threads : numbers) {
    setting.threads = threads;
    EXPECT_THAT(bitwise_differences(run_step_of(setting), one), ::testing::IsEmpty()) << threads << " threads";
  }
}

TEST(ThreadsLaw, holds_for_every_family_precision_attention_and_mask) {
  for (const StepSetting& setting : every_small_step()) {
    SCOPED_TRACE(setting.name);
    expect_same_bits(setting, {3});
  }
}

TEST(ThreadsLaw, fp32) {
  expect_same_bits({.precision = "fp32", .micro_steps = 2, .unequal_lengths = true, .steps = 2});
}
TEST(ThreadsLaw, bf16) {
  expect_same_bits({.precision = "bf16", .micro_steps = 2, .unequal_lengths = true, .steps = 2});
}
TEST(ThreadsLaw, fp16) {
  expect_same_bits({.precision = "fp16", .micro_steps = 2, .unequal_lengths = true, .steps = 2});
}
TEST(ThreadsLaw, materialised) {
  expect_same_bits(
      {.precision = "bf16", .micro_steps = 2, .change_model = [](ModelSettings& m) { m.attention = "materialised"; }});
}
TEST(ThreadsLaw, seed_small) { expect_same_bits({.preset = "seed-small", .precision = "fp32", .global_batch = 8}); }
// Rows and features beyond a tile, so that every matmul is cut; the vocabulary is beyond several.
TEST(ThreadsLaw, many_tiles_of_every_family) {
  for (StepSetting setting : small_steps()) {
    SCOPED_TRACE(setting.name);
    setting.change_model = [change = setting.change_model](ModelSettings& m) {
      change(m);
      m.vocabulary = 1001, m.mlp_hidden = 203, m.max_sequence = 70;
    };
    setting.sequence = 70, setting.steps = 2;
    expect_same_bits(setting);
  }
}
TEST(ThreadsLaw, odd_sizes) {
  expect_same_bits({.precision = "fp32",
                    .change_model =
                        [](ModelSettings& m) {
                          m.hidden = 57, m.heads = 3, m.mlp_hidden = 101, m.vocabulary = 67, m.max_sequence = 37;
                        },
                    .global_batch = 5});
}

}  // namespace
}  // namespace stepscope::testing
