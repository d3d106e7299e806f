// First weights: the right distribution, and the same however they are cut up.
#include "model/base/random_values.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace stepscope {
namespace {

std::vector<float> normal(std::size_t count, std::uint64_t seed = 1, std::string_view name = "w") {
  std::vector<float> values(count);
  fill_normal(values, 1.0, seed, name);
  return values;
}
std::vector<float> truncated(std::size_t count, std::uint64_t seed = 1, std::string_view name = "w") {
  std::vector<float> values(count);
  fill_truncated_normal(values, 1.0, seed, name);
  return values;
}

double mean(const std::vector<float>& values, double power = 1) {
  double sum = 0;
  for (const float v : values) sum += std::pow(v, power);
  return sum / static_cast<double>(values.size());
}

// Largest distance between the empirical distribution and `law`; above 1.95 / sqrt(n) with probability 0.001 (Kolmogorov).
template <class Law>
double distance(std::vector<float> values, Law law) {
  std::sort(values.begin(), values.end());
  const auto n = static_cast<double>(values.size());
  double largest = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double at = law(values[i]), rank = static_cast<double>(i);
    largest = std::max({largest, at - rank / n, (rank + 1) / n - at});
  }
  return largest;
}

constexpr std::size_t many = 200000;

TEST(RandomValues, normal_has_its_distribution) {
  const auto values = normal(many);
  EXPECT_LT(distance(values, [](double x) { return 0.5 * std::erfc(-x / std::sqrt(2)); }), 1.95 / std::sqrt(many));
  EXPECT_NEAR(mean(values), 0, 5 / std::sqrt(many));
  EXPECT_NEAR(mean(values, 2), 1, 5 * std::sqrt(2.0 / many));
  EXPECT_NEAR(mean(values, 4), 3, 5 * std::sqrt(96.0 / many));
}

// Cut at two deviations before the correction c, so at 2 / c after it; variance 1 again: c^2 = 1 - 4 phi(2) / erf(sqrt 2).
TEST(RandomValues, truncated_normal_has_its_distribution) {
  const double phi_2 = std::exp(-2.0) / std::sqrt(2 * M_PI), share = std::erf(std::sqrt(2.0));
  const double c = std::sqrt(1 - 4 * phi_2 / share);
  const auto values = truncated(many);
  const auto law = [&](double x) { return 0.5 + 0.5 * std::erf(x * c / std::sqrt(2)) / share; };
  EXPECT_LT(distance(values, law), 1.95 / std::sqrt(many));
  EXPECT_NEAR(mean(values), 0, 5 / std::sqrt(many));
  EXPECT_NEAR(mean(values, 2), 1, 5 * std::sqrt(2.0 / many));
  const auto [least, largest] = std::minmax_element(values.begin(), values.end());
  EXPECT_LE(*largest, 2 / c * (1 + 1e-6));
  EXPECT_GE(*least, -2 / c * (1 + 1e-6));
  EXPECT_GT(*largest, 0.999 * 2 / c);  // the cut is reached
}

TEST(RandomValues, parts_equal_their_whole) {
  const auto whole = normal(103);
  for (const std::size_t cut : {1u, 2u, 3u, 4u, 50u}) {
    std::vector<float> part(103 - cut);
    fill_normal(part, 1.0, 1, "w", static_cast<std::int64_t>(cut));
    EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + static_cast<std::ptrdiff_t>(cut))) << cut;
  }
}

TEST(RandomValues, seeds_names_and_far_elements_are_streams_of_their_own) {
  const auto correlation = [](const std::vector<float>& a, const std::vector<float>& b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += double{a[i]} * b[i];
    return std::fabs(sum) / static_cast<double>(a.size());
  };
  constexpr std::size_t count = 20000;
  const double limit = 5 / std::sqrt(count);
  EXPECT_LT(correlation(normal(count), normal(count, 2)), limit);
  EXPECT_LT(correlation(normal(count), normal(count, 1ull << 32 | 1)), limit);
  EXPECT_LT(correlation(normal(count), normal(count, 1, "v")), limit);
  std::vector<float> far(count);
  fill_normal(far, 1.0, 1, "w", 1ll << 34);
  EXPECT_LT(correlation(normal(count), far), limit);
}

TEST(RandomValues, deviation_scales) {
  std::vector<float> scaled(10);
  fill_normal(scaled, 0.02, 1, "w");
  const auto unit = normal(10);
  for (std::size_t i = 0; i < scaled.size(); ++i) EXPECT_NEAR(scaled[i], 0.02 * unit[i], 1e-8);
}

}  // namespace
}  // namespace stepscope
