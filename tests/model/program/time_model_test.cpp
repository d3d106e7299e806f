// Times of operations from measurements: laws over programs of presets, and the order in which what is most alike is looked for.
#include "model/program/time_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "tests/support/programs.h"

namespace stepscope {
namespace {

const Card some_ceilings{.name = "some", .fp32_flops = 5e11, .bf16_flops = 9e11, .bandwidth = 2e10};

double step_of_roofline(const Program& p) { return step_time_ns(p, roofline_times(p, some_ceilings)); }

class TimesOf : public ::testing::TestWithParam<testing::StepCase> {
 protected:
  Program program = testing::step_of(GetParam());
  std::vector<TimedWork> work = counted_work(program);

  // Every work of the program, each with a time of its own.
  TimeModel measured() const {
    TimeModel model{.ceilings = some_ceilings};
    for (std::size_t i = 0; i < work.size(); ++i)
      model.operations.push_back({.work = work[i].work,
                                  .time_ns = 1000.0 + 17.0 * static_cast<double>(i),
                                  .floor_ns = floor_ns(some_ceilings, work[i].work),
                                  .runs = work[i].count});
    return model;
  }
};

TEST_P(TimesOf, a_model_of_ceilings_alone_is_the_roofline) {
  const TimeModel model{.ceilings = some_ceilings};
  EXPECT_EQ(calibrated_times(program, model), roofline_times(program, some_ceilings));
  const PredictedStep step = predicted_step(model, work);
  EXPECT_NEAR(step.time_ns, step_of_roofline(program), 1e-9 * step.time_ns);
  EXPECT_EQ(step.measured_share, 0);
}

TEST_P(TimesOf, work_counts_every_run_of_every_operation) {
  std::int64_t runs = 0, counted = 0;
  for (const Operation& op : program.operations) runs += op.section == Section::micro ? program.micro_steps : 1;
  std::map<OperationWork, int> once;
  for (const TimedWork& row : work) counted += row.count, ++once[row.work];
  EXPECT_EQ(counted, runs);
  EXPECT_EQ(once.size(), work.size());
  EXPECT_LT(work.size(), program.operations.size());  // blocks are alike
}

TEST_P(TimesOf, what_was_measured_is_given_back) {
  TimeModel model = measured();
  model.between_ns = 12'345;
  double sum = 0;
  for (std::size_t i = 0; i < work.size(); ++i) sum += static_cast<double>(work[i].count) * model.operations[i].time_ns;
  EXPECT_NEAR(step_time_ns(program, calibrated_times(program, model)), sum, 1e-9 * sum);
  const PredictedStep step = predicted_step(model, work);
  EXPECT_NEAR(step.time_ns, sum + 12'345, 1e-9 * sum);
  EXPECT_DOUBLE_EQ(step.measured_share, 1);
}

TEST_P(TimesOf, one_efficiency_everywhere_predicts_every_size) {
  TimeModel model = measured();
  for (MeasuredOperation& one : model.operations) one.time_ns = one.floor_ns / 0.25;
  const Program other = testing::step_of({.preset = "seed-small", .precision = GetParam().precision});
  EXPECT_NEAR(step_time_ns(other, calibrated_times(other, model)), 4 * step_of_roofline(other),
              1e-9 * step_of_roofline(other));
}

INSTANTIATE_TEST_SUITE_P(
    Programs, TimesOf,
    ::testing::Values(testing::StepCase{},
                      testing::StepCase{.precision = "bf16", .checkpointing = std::string("TransformerBlock")},
                      testing::StepCase{.preset = "seed-small", .accumulation = 4},
                      testing::StepCase{.checkpointing = std::string("gelu"), .attention = "materialised"}));

TEST(TimeModel, types_are_the_operands_without_their_shapes) {
  EXPECT_EQ(types_of("bf16[8,128,768] bf16[768,256] > bf16[8,128,256][4 heads] dropout"), "bf16 bf16 > bf16 dropout");
  EXPECT_EQ(types_of("> fp32[]"), "> fp32");
}

MeasuredOperation measured(const std::string& operation, const std::string& operands, const std::string& phase,
                           std::int64_t bytes, double efficiency) {
  MeasuredOperation one{.work = {operation, operands, phase, 0, bytes}};
  one.floor_ns = floor_ns(some_ceilings, one.work);
  one.time_ns = one.floor_ns / efficiency;
  one.runs = 1;
  return one;
}

// Each row answers until it is taken away; then the next does.
TEST(TimeModel, the_most_alike_decides) {
  const OperationWork asked{"gelu", "bf16[64] > bf16[64]", "recompute", 0, 40'000};
  TimeModel model{.ceilings = some_ceilings,
                  .operations = {measured("adam", "fp32[9] > fp32[9]", "update", 40'000, 0.1),
                                 measured("gelu", "fp32[64] > fp32[64]", "forward", 40'000, 0.2),
                                 measured("gelu", "bf16[32] > bf16[32]", "forward", 20'000, 0.3),
                                 measured("gelu", "bf16[16] > bf16[16]", "recompute", 10'000, 0.4),
                                 measured("gelu", "bf16[64] > bf16[64]", "forward", 40'000, 0.5),
                                 measured("gelu", "bf16[64] > bf16[64]", "recompute", 40'000, 0.6)}};
  const double floor = floor_ns(some_ceilings, asked);
  double efficiency = 0.6;
  for (const Basis basis :
       {Basis::same_work, Basis::same_operands, Basis::types_and_phase, Basis::types, Basis::kind, Basis::everything}) {
    const PredictedRun run = predicted_run(model, asked);
    EXPECT_EQ(run.basis, basis);
    EXPECT_NEAR(run.time_ns, floor / efficiency, 1e-9 * floor);
    model.operations.pop_back();
    efficiency -= 0.1;
  }
  EXPECT_EQ(predicted_run(model, asked).basis, Basis::roofline);
}

TEST(TimeModel, between_two_sizes_lies_between_their_efficiencies_and_beyond_them_the_nearest_holds) {
  const TimeModel model{.ceilings = some_ceilings,
                        .operations = {measured("gelu", "fp32[a] > fp32[a]", "forward", 1'000, 0.1),
                                       measured("gelu", "fp32[b] > fp32[b]", "forward", 100'000, 0.4)}};
  const auto efficiency = [&](std::int64_t bytes) {
    const OperationWork work{"gelu", "fp32[other] > fp32[other]", "forward", 0, bytes};
    return floor_ns(some_ceilings, work) / predicted_run(model, work).time_ns;
  };
  EXPECT_NEAR(efficiency(1'000), 0.1, 1e-12);
  EXPECT_NEAR(efficiency(10'000), std::sqrt(0.1 * 0.4), 1e-12);  // halfway on logarithms
  EXPECT_NEAR(efficiency(100'000), 0.4, 1e-12);
  EXPECT_NEAR(efficiency(100), 0.1, 1e-12);
  EXPECT_NEAR(efficiency(100'000'000), 0.4, 1e-12);
}

}  // namespace
}  // namespace stepscope
