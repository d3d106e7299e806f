// Law: the gradient of a whole model is what finite differences of its loss say, in fp64, for every family of presets.
// A parameter is moved along a random direction; the slope there is the gradient's component along it.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "model/base/tolerance.h"
#include "model/execution/cpu_executor.h"
#include "tests/support/families.h"

namespace stepscope::testing {
namespace {

// A step that can be taken again and again from changed parameters.
class Slopes {
 public:
  explicit Slopes(const StepSetting& setting)
      : step(build(setting, machine_with(1))), executor_(step.program, step.plan, machine_with(1)) {
    executor_.initialise(setting.seed);
    fill_batch(setting, step.program, executor_);
    (void)loss();
  }

  Step step;

  // The gradient's component along random directions in these parameters, and the slope of the loss there.
  std::pair<double, double> expected_and_slope(const std::vector<StateId>& parameters, std::mt19937& random) {
    std::vector<std::vector<double>> from, directions;
    double expected = 0;
    (void)loss();
    for (const StateId id : parameters) {
      from.push_back(read(id));
      const std::vector<double> gradient = read(step.program.belonging_to(id, StateKind::gradient));
      directions.emplace_back(gradient.size());
      for (std::size_t i = 0; i < gradient.size(); ++i) {
        directions.back()[i] =
            std::normal_distribution(0.0, 1.0)(random) / std::sqrt(static_cast<double>(gradient.size()));
        expected += gradient[i] * directions.back()[i];
      }
    }
    constexpr double distance = 0x1p-11;
    constexpr double weights[] = {4.0 / 5, -1.0 / 5, 4.0 / 105, -1.0 / 280};  // central, of eighth order
    double slope = 0;
    for (int k = 1; k <= 4; ++k) {
      const double ahead = loss_at(parameters, from, directions, k * distance),
                   behind = loss_at(parameters, from, directions, -k * distance);
      slope += weights[k - 1] * (ahead - behind) / distance;
    }
    (void)loss_at(parameters, from, directions, 0);
    return {expected, slope};
  }

 private:
  [[nodiscard]] std::vector<double> read(StateId id) const {
    std::vector<double> numbers(static_cast<std::size_t>(step.program.state(id).type.shape.elements()));
    executor_.read(id, std::as_writable_bytes(std::span(numbers)));
    return numbers;
  }

  // A step of learning rate 0 leaves all parameters; its number keys dropout, so it stays the same.
  double loss() {
    executor_.control().step = 3;
    executor_.step(0);
    return executor_.control().loss_sum / executor_.control().token_count;
  }

  double loss_at(const std::vector<StateId>& parameters, const std::vector<std::vector<double>>& from,
                 const std::vector<std::vector<double>>& directions, double distance) {
    for (std::size_t p = 0; p < parameters.size(); ++p) {
      std::vector<double> moved = from[p];
      for (std::size_t i = 0; i < moved.size(); ++i) moved[i] += distance * directions[p][i];
      executor_.write(parameters[p], std::as_bytes(std::span(moved)));
    }
    return loss();
  }

  CpuExecutor executor_;
};

constexpr const char* in_fp64[] = {"fp64"};

TEST(DifferencesLaw, gradients_of_every_parameter_are_slopes_of_the_loss) {
  for (const StepSetting& setting : small_steps(in_fp64)) {
    std::mt19937 random(5);
    Slopes slopes(setting);
    for (const StateId id : slopes.step.program.states_of(StateKind::parameter)) {
      const auto [expected, slope] = slopes.expected_and_slope({id}, random);
      EXPECT_TRUE(close(slope, expected, DType::fp64)) << setting.name << ": " << slopes.step.program.state(id).name
                                                       << ": slope " << slope << ", gradient " << expected;
    }
  }
}

// All parameters at once, so that nothing but their sum is seen, for every attention and mask.
TEST(DifferencesLaw, holds_for_every_family_attention_and_mask) {
  for (const StepSetting& setting : every_small_step(in_fp64)) {
    std::mt19937 random(6);
    Slopes slopes(setting);
    const auto [expected, slope] =
        slopes.expected_and_slope(slopes.step.program.states_of(StateKind::parameter), random);
    EXPECT_TRUE(close(slope, expected, DType::fp64))
        << setting.name << ": slope " << slope << ", gradient " << expected;
  }
}

}  // namespace
}  // namespace stepscope::testing
