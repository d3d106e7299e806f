// Law: any keep-set gives the same loss, logits, gradients and updates, to the bit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/techniques/checkpointing.h"
#include "tests/support/families.h"
#include "tests/support/step_laws.h"

namespace stepscope::testing {
namespace {

TEST(KeepSetLaw, holds_for_100_random_sets_in_fp32) {
  expect_random_sets_change_nothing({.precision = "fp32", .micro_steps = 2, .threads = 2}, 100);
}

TEST(KeepSetLaw, holds_for_100_random_sets_in_bf16) {
  expect_random_sets_change_nothing({.precision = "bf16", .micro_steps = 2, .threads = 2, .unequal_lengths = true},
                                    100);
}

TEST(KeepSetLaw, holds_for_random_sets_in_fp16) {
  expect_random_sets_change_nothing(
      {.precision = "fp16", .micro_steps = 2, .threads = 2, .unequal_lengths = true, .steps = 2}, 30);
}

TEST(KeepSetLaw, holds_for_random_sets_with_materialised_attention) {
  expect_random_sets_change_nothing(
      {.precision = "bf16", .threads = 2, .change_model = [](ModelSettings& m) { m.attention = "materialised"; }}, 20);
}

TEST(KeepSetLaw, holds_for_every_named_choice) {
  for (const char* precision : {"fp32", "bf16", "fp16"}) {
    const StepSetting setting{.precision = precision, .micro_steps = 4, .threads = 2};
    const StepResult kept = run_step_of(setting);
    for (const std::vector<std::string>& targets : std::vector<std::vector<std::string>>{{"MLPBlock"},
                                                                                         {"AttentionBlock"},
                                                                                         {"MLPBlock", "AttentionBlock"},
                                                                                         {"TransformerBlock"},
                                                                                         {"blocks.1.mlp"},
                                                                                         {"gelu", "layer_norm"},
                                                                                         {"attention"}}) {
      StepSetting other = setting;
      other.keep = [&](const Program& forward) { return keep_outside(forward, targets); };
      EXPECT_THAT(bitwise_differences(run_step_of(other), kept), ::testing::IsEmpty())
          << precision << " " << targets.front();
    }
    StepSetting every = setting;
    every.keep = [](const Program& forward) { return keep_every(forward, 2); };
    EXPECT_THAT(bitwise_differences(run_step_of(every), kept), ::testing::IsEmpty());
  }
}

// The seed itself, narrowed to what a test can run: its layers, heads and sequence against width and vocabulary.
TEST(KeepSetLaw, holds_for_the_other_presets) {
  const auto narrow_seed = [](ModelSettings& m) { m.hidden = 64, m.vocabulary = 64, m.max_sequence = 48; };
  for (const StepSetting& setting : {StepSetting{.preset = "seed",
                                    .precision = "bf16",
                                    .micro_steps = 2,
                                    .threads = 2,
                                    .change_model = narrow_seed,
                                    .global_batch = 4},
                                     StepSetting{.preset = "seed-small",
                                     .precision = "fp32",
                                     .micro_steps = 2,
                                     .threads = 2,
                                     .change_model = {},
                                     .global_batch = 4}})
    expect_random_sets_change_nothing(setting, 4);
}

TEST(KeepSetLaw, holds_for_every_family_precision_attention_and_mask) {
  for (const StepSetting& setting : every_small_step()) {
    SCOPED_TRACE(setting.name);
    expect_random_sets_change_nothing(setting, 1);
  }
}

TEST(KeepSetLaw, holds_for_many_sets_and_micro_steps_of_every_family) {
  for (StepSetting setting : small_steps()) {
    SCOPED_TRACE(setting.name);
    setting.micro_steps = 3, setting.global_batch = 6, setting.steps = 2;
    expect_random_sets_change_nothing(setting, 5);
  }
}

// The published ones, narrowed: their layers, heads and kv heads stay.
TEST(KeepSetLaw, holds_for_the_published_depths) {
  const auto narrow = [](ModelSettings& m) { m.hidden = 48, m.vocabulary = 61, m.max_sequence = 24; };
  for (const char* preset : {"gpt2-124m", "gpt2-355m"})
    expect_random_sets_change_nothing({.preset = preset,
                                       .precision = "bf16",
                                       .micro_steps = 2,
                                       .threads = 2,
                                       .change_model = narrow,
                                       .global_batch = 4},
                                      1);
  const auto gated = [](ModelSettings& m) {
    m.hidden = 56, m.head_dim = 4, m.mlp_hidden = 72, m.vocabulary = 61, m.max_sequence = 24;
  };
  for (const char* preset : {"qwen2.5-0.5b", "qwen2.5-1.5b", "qwen3-0.6b", "llama-3.2-1b", "llama-3.1-8b"})
    expect_random_sets_change_nothing({.preset = preset,
                                       .precision = "bf16",
                                       .micro_steps = 2,
                                       .threads = 2,
                                       .change_model = gated,
                                       .global_batch = 4},
                                      1);
}

// A gated MLP keeps what goes into the gate and beside it; named targets work as for any block.
TEST(KeepSetLaw, holds_for_every_named_choice_of_llama_and_qwen) {
  for (const char* preset : {"llama-tiny", "qwen3-tiny"}) {
    const StepSetting setting{.preset = preset, .precision = "bf16", .micro_steps = 2, .threads = 2};
    const StepResult kept = run_step_of(setting);
    for (const char* target : {"MLPBlock", "AttentionBlock", "TransformerBlock", "RMSNorm", "blocks.1.mlp", "swiglu",
                               "rotary", "rms_norm", "attention"}) {
      StepSetting other = setting;
      other.keep = [&](const Program& forward) { return keep_outside(forward, {target}); };
      EXPECT_THAT(bitwise_differences(run_step_of(other), kept), ::testing::IsEmpty()) << preset << " " << target;
    }
  }
}

}  // namespace
}  // namespace stepscope::testing
