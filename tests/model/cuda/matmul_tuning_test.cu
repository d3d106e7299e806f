// Which algorithm a matmul takes: the fastest of those that hold, measured once; the same again whenever the matmul is the same.
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include <algorithm>

#include "model/cuda/machine.h"
#include "model/cuda/matmul_tuner.cuh"
#include "model/execution/cuda_executor.h"
#include "model/execution/tune_matmuls.h"
#include "tests/support/on_card.cuh"
#include "tests/support/step_run.h"
#ifndef __CUDACC__
#include "tests/support/host_simt/cublaslt.cuh"
#include "tests/support/host_simt/runtime.cuh"
#include "tests/support/host_simt/scheduler.cuh"

namespace stepscope::testing {

using namespace host_simt;

class MatmulTuningTest : public ::testing::Test {
 protected:
  void SetUp() override { matmul_options() = {}; }
  void TearDown() override {
    matmul_options() = {};
    options() = {};
  }
};

namespace {

MatmulProblem small_problem() {
  return {.spec = {.m = 6, .n = 8, .k = 40, .a_stride = 40, .b_stride = 8, .c_stride = 8}};
}

StepSetting setting_of(const std::string& precision) {
  StepSetting s;
  s.precision = precision;
  s.global_batch = 2;
  s.sequence = 8;
  s.micro_steps = 2;
  s.change_model = [](ModelSettings& m) { m.layers = 1, m.attention = "materialised"; };
  return s;
}

// Each matmul of the step another way than its neighbour in the list.
std::shared_ptr<const MatmulTuning> alternating_tuning(const Step& step) {
  MatmulList list(0);
  list.add(step.program, step.plan);
  MatmulTuning all;
  for (const MatmulWay way : {backwards, split}) {
    matmul_options().nanoseconds = {9e9, 9e9, 9e9, 9e9, 9e9};
    matmul_options().nanoseconds[way] = 1e9;
    const MatmulTuning tuning = list.tune({}, [] {});
    int number = 0;
    for (const auto& [signature, choice] : tuning.choices)
      if (++number % 2 == (way == split ? 0 : 1)) all.choices[signature] = choice;
  }
  matmul_options().nanoseconds = {};
  return std::make_shared<const MatmulTuning>(std::move(all));
}

StepResult run_with(const StepSetting& s, const std::shared_ptr<const MatmulTuning>& tuning) {
  const Step step = build(s, this_card());
  CudaExecutor executor(step.program, step.plan, CudaExecutor::Launch::eager, 0, tuning);
  return run_step_on(executor, step, s);
}

}  // namespace

TEST_F(MatmulTuningTest, takes_the_fastest_algorithm_of_those_that_hold) {
  MatmulTuner tuner;
  matmul_options().nanoseconds = {3e9, 0, 1e9, 2e9, 0};  // the hopeful one fails its check, the large one has no room
  const std::optional<MatmulChoice> choice = tuner.fastest(small_problem());
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->rank, 1);  // of in_order, backwards, split
  EXPECT_EQ(choice->tried, 3);
  EXPECT_EQ(choice->split_k, 1);
  EXPECT_NEAR(choice->median_ns, 1e9, 1e8);
  EXPECT_NEAR(choice->first_ns, 3e9, 1e8);
  matmul_options().nanoseconds = {3e9, 0, 3e9, 1e9, 0};
  EXPECT_EQ(tuner.fastest(small_problem())->split_k, split_parts);
}

TEST_F(MatmulTuningTest, times_within_a_percent_are_equal_and_the_librarys_order_decides) {
  MatmulTuner tuner;
  matmul_options().nanoseconds = {100.9e9, 0, 100e9, 105e9, 0};
  EXPECT_EQ(tuner.fastest(small_problem())->rank, 0);
  matmul_options().nanoseconds = {102e9, 0, 100e9, 100.5e9, 0};
  EXPECT_EQ(tuner.fastest(small_problem())->rank, 1);
}

TEST_F(MatmulTuningTest, measures_each_of_them_at_least_twenty_times_in_turn) {
  MatmulTuner tuner;
  matmuls_run() = {};
  (void)tuner.fastest(small_problem());
  for (const MatmulWay way : {in_order, backwards, split}) EXPECT_GE(matmuls_run()[way], 20) << way;
  EXPECT_EQ(matmuls_run()[in_order], matmuls_run()[split]);
  EXPECT_EQ(matmuls_run()[hopeful] + matmuls_run()[too_large], 0);
}

TEST_F(MatmulTuningTest, leaves_out_an_algorithm_that_refuses_when_it_shall_run) {
  MatmulTuner tuner;
  matmul_options().nanoseconds = {3e9, 0, 1e9, 2e9, 0};
  matmul_options().refused_when_issued = 1u << backwards;
  const std::optional<MatmulChoice> choice = tuner.fastest(small_problem());
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->split_k, split_parts);
  EXPECT_EQ(choice->tried, 2);
  matmul_options().refused_when_issued = ~0u;
  EXPECT_FALSE(tuner.fastest(small_problem()));
}

TEST_F(MatmulTuningTest, of_a_matmul_without_room_on_the_card_is_none_and_nothing_is_left_of_it) {
  MatmulTuner tuner;
  const std::size_t before = counts().live_bytes;
  options().memory_bytes = before + 1000;
  EXPECT_FALSE(tuner.fastest(small_problem()));
  options() = {};
  EXPECT_EQ(counts().live_bytes, before);
  EXPECT_TRUE(tuner.fastest(small_problem()));
  EXPECT_EQ(counts().live_bytes, before);
}

TEST_F(MatmulTuningTest, multiplies_numbers_that_are_no_zeros) {
  const Stream stream;
  for (const std::uint32_t key : {1u, 2u}) {
    const OnCard<float> numbers(stream, 5000);
    launch(tuning_numbers_kernel<float>, 20, element_threads, 0, stream.get(), numbers.at(), 5000, key);
    std::set<float> different;
    double sum = 0;
    for (const float number : numbers.read()) {
      EXPECT_TRUE(number != 0 && number >= -1 && number < 1) << number;
      different.insert(number);
      sum += static_cast<double>(number);
    }
    EXPECT_GT(different.size(), 4900U);
    EXPECT_LT(std::abs(sum / 5000), 0.05);
  }
}

TEST_F(MatmulTuningTest, a_matmul_takes_what_was_chosen_and_the_first_answer_where_that_does_not_hold) {
  const MatmulProblem problem = small_problem();
  const Stream stream;
  const DeviceMemory memory(1 << 16), workspace(static_cast<std::size_t>(matmul_workspace_bytes(problem.spec)));
  const CudaMatmulAddresses at{memory.data(), memory.data() + 4096, memory.data() + 8192, nullptr, workspace.data()};
  const auto way_with = [&](const std::shared_ptr<const MatmulTuning>& tuning, const MatmulSpec& spec) {
    const MatmulLibrary library(tuning);
    const CudaMatmul matmul(library, spec, false, at);
    matmuls_run() = {};
    matmul.issue(stream.get(), false);
    stream.synchronise();
    return std::ranges::find(matmuls_run(), 1) - matmuls_run().begin();
  };
  MatmulTuning tuning;
  matmul_options().nanoseconds = {3e9, 0, 1e9, 2e9, 0};
  tuning.choices[signature_of(problem)] = *MatmulTuner().fastest(problem);
  const auto chosen = std::make_shared<const MatmulTuning>(tuning);
  EXPECT_EQ(way_with(nullptr, problem.spec), in_order);
  EXPECT_EQ(way_with(chosen, problem.spec), backwards);
  MatmulSpec other = problem.spec;
  other.m = 5;
  EXPECT_EQ(way_with(chosen, other), in_order);  // of which nothing was measured
  matmul_options().refused |= 1u << backwards;
  EXPECT_EQ(way_with(chosen, problem.spec), in_order);
  matmul_options() = {};
  MatmulProblem larger = problem;
  larger.spec.m = 5;
  tuning.choices[signature_of(larger)] = tuning.choices[signature_of(problem)];  // as a damaged file would have it
  EXPECT_EQ(way_with(std::make_shared<const MatmulTuning>(tuning), larger.spec), in_order);
}

TEST_F(MatmulTuningTest, has_every_matmul_that_a_step_issues) {
  for (const char* precision : {"fp32", "bf16"}) {
    const StepSetting s = setting_of(precision);
    const Step step = build(s, this_card());
    MatmulList list(0);
    list.add(step.program, step.plan);
    matmul_options().nanoseconds = {3e9, 0, 1e9, 2e9, 0};
    int measured = 0;
    const auto tuning = std::make_shared<const MatmulTuning>(list.tune({}, [&] { ++measured; }));
    EXPECT_EQ(measured, std::ssize(list.signatures()));
    EXPECT_EQ(std::ssize(tuning->choices), measured);
    EXPECT_GT(measured, 12);
    EXPECT_EQ(list.tune(*tuning, [&] { ++measured; }).choices.size(), tuning->choices.size());
    EXPECT_EQ(measured, std::ssize(tuning->choices));  // nothing was measured again
    matmuls_run() = {};
    (void)run_with(s, tuning);
    EXPECT_GT(matmuls_run()[backwards], measured);
    EXPECT_EQ(matmuls_run()[in_order] + matmuls_run()[split], 0) << precision;
  }
}

// Algorithms of the stand-in round differently: a repeated matmul that took another one would be seen.
TEST_F(MatmulTuningTest, what_is_made_again_takes_the_algorithm_of_the_first_time) {
  StepSetting kept = setting_of("bf16"), repeated = kept;
  repeated.keep = [](const Program&) { return KeepSet{}; };
  const Step step = build(kept, this_card());
  const auto tuning = alternating_tuning(step);
  matmuls_run() = {};
  const StepResult once = run_with(kept, tuning);
  EXPECT_GT(matmuls_run()[backwards], 0);
  EXPECT_GT(matmuls_run()[split], 0);
  EXPECT_EQ(bitwise_differences(once, run_with(repeated, tuning)), std::vector<std::string>());
  EXPECT_NE(bitwise_differences(once, run_with(kept, nullptr)), std::vector<std::string>());
}

TEST_F(MatmulTuningTest, a_step_with_it_uses_the_bytes_that_were_planned) {
  const StepSetting s = setting_of("bf16");
  const Step step = build(s, this_card());
  CudaExecutor executor(step.program, step.plan, CudaExecutor::Launch::graph, 0, alternating_tuning(step));
  executor.initialise(1);
  fill_batch(s, step.program, executor);
  const Executor::UsedBytes used = executor.measure_used_bytes(1e-3);
  EXPECT_EQ(used.differences, std::vector<std::string>());
  EXPECT_EQ(used.arena, step.plan.arena_bytes);
}

}  // namespace stepscope::testing
#endif
