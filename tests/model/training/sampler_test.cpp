// Samples: what a draw gives, and that a model that has learned a chain writes it.
#include "model/training/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "model/base/error.h"
#include "model/execution/cpu_executor.h"
#include "model/layers/model_settings.h"
#include "model/training/evaluation.h"
#include "model/training/synthetic_source.h"
#include "model/training/trainer.h"
#include "tests/support/step_run.h"

namespace stepscope {
namespace {

const std::vector<float> logits{0.F, 2.F, 1.F, 2.F};

ModelSettings tiny() { return resolved(preset_named("tiny").model); }

TEST(PickToken, without_heat_or_choice_is_the_likeliest_and_smallest) {
  for (const double uniform : {0.0, 0.5, 0.999}) {
    EXPECT_EQ(pick_token(logits, 0, 0, uniform), 1);
    EXPECT_EQ(pick_token(logits, 1, 1, uniform), 1);
    EXPECT_EQ(pick_token(logits, 1e-3, 0, uniform * 0.5), 1);  // 1 and 3 share it
  }
}

TEST(PickToken, takes_each_token_as_often_as_its_probability_says) {
  for (const double temperature : {0.5, 1.0, 3.0}) {
    for (const std::int64_t top_k : {0, 3}) {
      std::vector<double> expected(4), seen(4);
      double sum = 0;
      for (std::size_t i = 0; i < 4; ++i)
        sum += expected[i] = top_k == 3 && i == 0 ? 0 : std::exp(static_cast<double>(logits[i]) / temperature);
      constexpr int draws = 100'000;
      for (int i = 0; i < draws; ++i)
        seen[static_cast<std::size_t>(pick_token(logits, temperature, top_k, (i + 0.5) / draws))] += 1.0 / draws;
      for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(seen[i], expected[i] / sum, 2.0 / draws);
    }
  }
}

TEST(Sampler, writes_the_chain_that_the_model_learned) {
  const Machine machine = testing::machine_with(2);
  const Step step = testing::build({.preset = "tiny"}, machine);
  const ModelSettings model = tiny();
  CpuExecutor executor(step.program, step.plan, machine);
  executor.initialise(1);
  const SyntheticSource source({.rows = 8, .sequence = 32, .vocabulary = model.vocabulary, .seed = 1});
  Trainer trainer(step.program, executor, source, schedule_named("constant", 2e-3, 0, 0));
  for (int i = 0; i < 300; ++i) (void)trainer.step();

  Sampler sampler(model, 32, {}, machine);
  const SamplingSettings settings{.count = 100, .temperature = 0.5, .top_k = 4, .seed = 3};
  const std::vector<std::int32_t> prompt{5};
  const auto written = sampler.sample(step.program, executor, prompt, settings);
  EXPECT_EQ(written, sampler.sample(step.program, executor, prompt, settings));
  int steps_of_the_chain = 0;
  for (std::size_t i = 0; i < written.size(); ++i)
    steps_of_the_chain += source.probability(i == 0 ? 5 : written[i - 1], written[i]) > 0;
  EXPECT_GE(steps_of_the_chain, 80);  // by chance about 2 of 100
}

TEST(Sampler, refuses_a_model_that_sees_what_is_to_come) {
  ModelSettings model = tiny();
  model.mask = {"padding"};
  EXPECT_THROW(Sampler(model, 32, {}, testing::machine_with(1)), UsageError);
}

}  // namespace
}  // namespace stepscope
