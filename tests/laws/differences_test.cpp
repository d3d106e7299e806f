// Law: the gradient of a whole model is what finite differences of its loss say, in fp64, for every family of presets.
// A parameter is moved along a random direction; the slope there is the gradient's component along it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "model/base/tolerance.h"
#include "model/execution/cpu_executor.h"
#include "tests/support/step_run.h"

namespace stepscope::testing {
namespace {

struct Family {
  const char* preset;
  const char* attention;
};
void PrintTo(const Family& family, std::ostream* out) { *out << family.preset << " " << family.attention; }

class DifferencesLaw : public ::testing::TestWithParam<Family> {
 protected:
  DifferencesLaw()
      : setting_{.preset = GetParam().preset,
                 .precision = "fp64",
                 .micro_steps = 2,
                 .unequal_lengths = true,
                 .change_model =
                     [](ModelSettings& m) {
                       m.attention = GetParam().attention, m.vocabulary = 29, m.max_sequence = 9, m.dropout = 0.1;
                     },
                 .global_batch = 4},
        step_(build(setting_, machine_with(1))),
        executor_(step_.program, step_.plan, machine_with(1)) {
    executor_.initialise(setting_.seed);
    fill_batch(setting_, step_.program, executor_);
  }

  [[nodiscard]] std::vector<double> read(StateId id) const {
    std::vector<double> numbers(static_cast<std::size_t>(step_.program.state(id).type.shape.elements()));
    executor_.read(id, std::as_writable_bytes(std::span(numbers)));
    return numbers;
  }

  // A step of learning rate 0 leaves all parameters; its number keys dropout, so it stays the same.
  double loss() {
    executor_.control().step = 3;
    executor_.step(0);
    return executor_.control().loss_sum / executor_.control().token_count;
  }

  double loss_at(StateId id, const std::vector<double>& from, const std::vector<double>& direction, double distance) {
    std::vector<double> moved = from;
    for (std::size_t i = 0; i < moved.size(); ++i) moved[i] += distance * direction[i];
    executor_.write(id, std::as_bytes(std::span(moved)));
    return loss();
  }

  StepSetting setting_;
  Step step_;
  CpuExecutor executor_;
};

TEST_P(DifferencesLaw, gradients_are_slopes_of_the_loss) {
  std::mt19937 random(5);
  (void)loss();
  for (const StateId id : step_.program.states_of(StateKind::parameter)) {
    const std::vector<double> from = read(id);
    std::vector<double> direction(from.size());
    for (double& x : direction)
      x = std::normal_distribution(0.0, 1.0)(random) / std::sqrt(static_cast<double>(from.size()));
    (void)loss();
    const std::vector<double> gradient = read(step_.program.belonging_to(id, StateKind::gradient));
    double expected = 0;
    for (std::size_t i = 0; i < gradient.size(); ++i) expected += gradient[i] * direction[i];
    constexpr double step = 0x1p-9, weights[] = {4.0 / 5, -1.0 / 5, 4.0 / 105, -1.0 / 280};  // central, of eighth order
    double slope = 0;
    for (int k = 1; k <= 4; ++k)
      slope +=
          weights[k - 1] * (loss_at(id, from, direction, k * step) - loss_at(id, from, direction, -k * step)) / step;
    executor_.write(id, std::as_bytes(std::span(from)));
    EXPECT_TRUE(close(slope, expected, DType::fp64))
        << step_.program.state(id).name << ": slope " << slope << ", gradient " << expected;
  }
}

INSTANTIATE_TEST_SUITE_P(Presets, DifferencesLaw,
                         ::testing::Values(Family{"tiny", "fused"}, Family{"gpt2-tiny", "fused"},
                                           Family{"llama-tiny", "fused"}, Family{"llama-tiny", "materialised"},
                                           Family{"qwen3-tiny", "fused"}, Family{"qwen3-tiny", "materialised"}),
                         [](const auto& info) {
                           std::string name = std::string(info.param.preset) + "_" + info.param.attention;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace stepscope::testing
