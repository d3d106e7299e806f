// What only the operations of loss scaling promise; the laws of every operation are in operation_laws_test.cpp.
#include "model/operations/loss_scaling/loss_scaling.h"

#include <gtest/gtest.h>

#include <limits>

#include "model/operations/cross_entropy/cross_entropy.h"
#include "tests/support/guarded_machine.h"
#include "tests/support/operation_cases.h"
#include "tests/support/run_operation.h"

namespace stepscope::testing {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity(),
                 no_number = std::numeric_limits<double>::quiet_NaN();

struct Unscaled {
  std::vector<std::vector<double>> gradients;
  ControlBlock control;
};

Unscaled unscale(const std::vector<std::vector<double>>& gradients, double scale, double clip = 0) {
  CaseBuilder c(DType::fp32, 1);
  std::vector<Write> writes{{c.b.program().results, Accumulate::no}};
  for (std::size_t i = 0; i < gradients.size(); ++i)
    writes.push_back({c.state("g" + std::to_string(i), StateKind::gradient, {std::ssize(gradients[i])}, gradients[i]),
                      Accumulate::no});
  c.update(unscale_gradients_kind, {.clip = clip}, {c.b.results()}, writes);
  const CaseProgram made = std::move(c).finish();
  GuardedMachine machine(made.program);
  for (const auto& [name, numbers] : made.contents) machine.write(made.program.find_state(name), numbers);
  machine.control().loss_scale = scale;
  machine.run_checked(Section::update);
  Unscaled unscaled{{}, machine.control()};
  for (const StateId id : made.program.states_of(StateKind::gradient)) unscaled.gradients.push_back(machine.read(id));
  return unscaled;
}

ControlBlock scale_after(double scale, std::int64_t clean_steps, bool overflowed, std::int64_t interval = 3) {
  ControlBlock control;
  control.loss_scale = scale, control.clean_steps = clean_steps, control.found_inf = overflowed ? 1 : 0;
  control.step = 20, control.skips = 7;
  return run_operation(update_loss_scale_kind, {.growth_interval = interval}, {control_operand()}, {}, control).control;
}

}  // namespace

TEST(UnscaleGradients, divides_and_measures_what_comes_out) {
  const Unscaled unscaled = unscale({{3 * 1024}, {2048, -2048, 2048, -2048}}, 1024, 2.5);
  EXPECT_EQ(unscaled.gradients, (std::vector<std::vector<double>>{{3}, {2, -2, 2, -2}}));
  EXPECT_EQ(unscaled.control.gradient_norm, 5);
  EXPECT_EQ(unscaled.control.clip_factor, 0.5);
  EXPECT_EQ(unscaled.control.found_inf, 0);
}

TEST(UnscaleGradients, finds_a_single_overflow_wherever_it_is) {
  constexpr std::int64_t n = 40000;  // several ranges
  for (const double bad : {infinity, -infinity, no_number})
    for (const std::int64_t at : {std::int64_t{0}, n / 2, n - 1}) {
      std::vector<double> last(n, 1.0);
      last[static_cast<std::size_t>(at)] = bad;
      EXPECT_EQ(unscale({{1, 2}, last}, 8).control.found_inf, 1) << bad << " at " << at;
    }
  // The greatest numbers of fp32 are no overflow, many of them together neither.
  EXPECT_EQ(unscale({std::vector<double>(n, std::numeric_limits<float>::max())}, 1).control.found_inf, 0);
}

TEST(UpdateLossScale, halves_after_an_overflow_and_counts_it) {
  const ControlBlock after = scale_after(1024, 2, true);
  EXPECT_EQ(after.loss_scale, 512);
  EXPECT_EQ(after.clean_steps, 0);
  EXPECT_EQ(after.skips, 8);
  EXPECT_EQ(after.updates(), 12);
}

TEST(UpdateLossScale, doubles_after_so_many_clean_steps) {
  EXPECT_EQ(scale_after(1024, 0, false).loss_scale, 1024);
  EXPECT_EQ(scale_after(1024, 0, false).clean_steps, 1);
  EXPECT_EQ(scale_after(1024, 1, false).loss_scale, 1024);
  EXPECT_EQ(scale_after(1024, 2, false).loss_scale, 2048);
  EXPECT_EQ(scale_after(1024, 2, false).clean_steps, 0);
  EXPECT_EQ(scale_after(1024, 2, false).skips, 7);
}

TEST(UpdateLossScale, stays_within_its_bounds) {
  EXPECT_EQ(scale_after(1, 0, true).loss_scale, 1);
  EXPECT_EQ(scale_after(0x1p64, 0, false, 1).loss_scale, 0x1p64);
}

TEST(CrossEntropy, scales_its_gradient_and_not_its_loss) {
  ControlBlock control;
  control.token_count = 2;
  const auto run = [&] {
    return run_operation(
        cross_entropy_kind, {.output = DType::fp32},
        {{DType::fp32, {1, 2, 3}, {1, 2, 3, -1, 0, 1}}, {DType::int32, {1, 2}, {0, 2}}, control_operand()}, {},
        control);
  };
  const Ran plain = run();
  control.loss_scale = 4096;
  const Ran scaled = run();
  EXPECT_EQ(scaled.outs[0], plain.outs[0]);
  EXPECT_EQ(scaled.control.loss_sum, plain.control.loss_sum);
  for (std::size_t i = 0; i < plain.outs[1].size(); ++i) EXPECT_EQ(scaled.outs[1][i], 4096 * plain.outs[1][i]);
}

}  // namespace stepscope::testing
