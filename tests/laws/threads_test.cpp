// Law: any number of threads gives the same bits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/step_run.h"

namespace stepscope::testing {
namespace {

void expect_same_bits(StepSetting setting) {
  setting.threads = 1;
  const StepResult one = run_step_of(setting);
  for (const int threads : {2, 3, 4}) {
    setting.threads = threads;
    EXPECT_THAT(bitwise_differences(run_step_of(setting), one), ::testing::IsEmpty()) << threads << " threads";
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
TEST(ThreadsLaw, gpt2) {
  for (const char* precision : {"fp32", "bf16"})
    expect_same_bits({.preset = "gpt2-tiny",
                      .precision = precision,
                      .micro_steps = 2,
                      .unequal_lengths = true,
                      .change_model = [](ModelSettings& m) { m.vocabulary = 1001, m.dropout = 0.1; },
                      .steps = 2});
}
TEST(ThreadsLaw, llama_and_qwen) {
  for (const char* preset : {"llama-tiny", "qwen3-tiny"})
    for (const char* precision : {"fp32", "bf16"})
      for (const char* attention : {"fused", "materialised"})
        expect_same_bits({.preset = preset,
                          .precision = precision,
                          .micro_steps = 2,
                          .unequal_lengths = true,
                          .change_model =
                              [&](ModelSettings& m) {
                                m.vocabulary = 1001, m.dropout = 0.1, m.max_sequence = 70, m.attention = attention;
                              },
                          .steps = 2});
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
