// Law: head and loss in chunks of rows are the same step: logits never exist whole, every gradient is what it was, to the bit where
// tiles of matmuls match, else to the rounding of sums in another order.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "model/base/tolerance.h"
#include "model/execution/cpu_executor.h"
#include "model/techniques/checkpointing.h"
#include "tests/support/families.h"
#include "tests/support/programs.h"

namespace stepscope::testing {
namespace {

// Heads of their own with a bias and without, the embedding's, with every mask and attention; 128 rows a micro-step.
std::vector<StepSetting> settings() {
  std::vector<StepSetting> list = small_steps();
  for (StepSetting& setting : list) {
    setting.change_model = [change = setting.change_model](ModelSettings& m) {
      change(m);
      m.vocabulary = 251, m.max_sequence = 32;
    };
    setting.global_batch = 8, setting.sequence = 32;
  }
  return list;
}

// Rows of the largest value that is as wide as the vocabulary.
std::int64_t rows_of_logits(const Program& program, std::int64_t vocabulary) {
  std::int64_t rows = 0;
  for (const Value& value : program.values)
    if (value.type.shape.last() == vocabulary) rows = std::max(rows, value.type.shape.rows());
  return rows;
}

TEST(LogitsChunksLaw, any_number_of_chunks_is_the_same_step) {
  for (StepSetting setting : settings()) {
    SCOPED_TRACE(setting.name);
    const StepResult whole = run_step_of(setting);
    EXPECT_FALSE(whole.logits.empty());
    const Tolerance limit = tolerance(setting.precision == "fp32" ? DType::fp32 : DType::fp16);
    for (const std::int64_t chunks : {2, 3, 8, 128}) {  // of 128 rows: odd sizes, and single rows
      setting.logits_chunks = chunks;
      const StepResult chunked = run_step_of(setting);
      EXPECT_NEAR(chunked.loss, whole.loss, 1e-6 * whole.loss) << chunks;
      EXPECT_LT(gradient_error(chunked, whole), limit.relative) << chunks;
      EXPECT_TRUE(chunked.logits.empty());
    }
  }
}

// Two chunks of 128 rows: as high as a tile of the matmuls, so that no sum but that of the head's weight is cut.
TEST(LogitsChunksLaw, where_tiles_match_only_the_heads_weight_rounds_otherwise) {
  for (const char* precision : {"fp32", "bf16", "fp16"}) {
    StepSetting setting{.precision = precision, .threads = 2};
    StepResult whole = run_step_of(setting);
    setting.logits_chunks = 2;
    StepResult chunked = run_step_of(setting);
    EXPECT_NEAR(chunked.loss, whole.loss, 1e-12);
    for (StepResult* result : {&whole, &chunked}) {
      result->loss = 0, result->logits.clear();
      result->gradients["head.weight"].clear(), result->parameters["head.weight"].clear();
    }
    EXPECT_THAT(bitwise_differences(chunked, whole), ::testing::IsEmpty()) << precision;
  }
}

TEST(LogitsChunksLaw, logits_exist_for_one_chunk_at_a_time) {
  for (StepSetting setting : settings()) {
    SCOPED_TRACE(setting.name);
    const Step whole = build(setting, machine_with(2));
    EXPECT_EQ(rows_of_logits(whole.program, 251), 128);
    setting.logits_chunks = 8;
    const Step chunked = build(setting, machine_with(2));
    EXPECT_EQ(rows_of_logits(chunked.program, 251), 16);
    EXPECT_LT(chunked.program.logits.index, 0);
    std::int64_t most = 0;  // bytes of logits and their gradients that are alive together
    for (int i = 0; i < static_cast<int>(chunked.program.operations.size()); ++i) {
      std::int64_t bytes = 0;
      for (const Placement& place : chunked.plan.live_at(i))
        if (chunked.program.value(place.value).type.shape == Shape{16, 251}) bytes += place.size_bytes;
      most = std::max(most, bytes);
    }
    EXPECT_LE(most, 16 * 251 * (4 + 2));
    EXPECT_LT(chunked.plan.largest_live_bytes, whole.plan.largest_live_bytes);
  }
}

TEST(LogitsChunksLaw, used_bytes_are_planned_bytes) {
  for (StepSetting setting : settings())
    for (const std::vector<std::string>& targets : std::vector<std::vector<std::string>>{{}, {"TransformerBlock"}}) {
      SCOPED_TRACE(setting.name);
      setting.logits_chunks = 8;
      setting.keep = [&](const Program& forward) { return keep_outside(forward, targets); };
      const Step step = build(setting, machine_with(2));
      CpuExecutor executor(step.program, step.plan, machine_with(2));
      executor.initialise(setting.seed);
      fill_batch(setting, step.program, executor);
      const Executor::UsedBytes used = executor.measure_used_bytes(1e-3);
      EXPECT_THAT(used.differences, ::testing::IsEmpty());
      EXPECT_EQ(used.arena, step.plan.arena_bytes);
      EXPECT_EQ(used.largest_live, step.plan.largest_live_bytes);
    }
}

TEST(LogitsChunksLaw, any_keep_set_and_any_threads_give_the_same_bits) {
  for (StepSetting setting : settings()) {
    SCOPED_TRACE(setting.name);
    setting.logits_chunks = 5;
    const StepResult kept = run_step_of(setting);
    std::mt19937 random(7);
    for (int trial = 0; trial < 3; ++trial) {
      StepSetting other = setting;
      other.threads = 2 + trial;
      other.keep = [&](const Program& forward) { return random_keep(forward, random); };
      EXPECT_THAT(bitwise_differences(run_step_of(other), kept), ::testing::IsEmpty()) << trial;
    }
  }
}

}  // namespace
}  // namespace stepscope::testing
