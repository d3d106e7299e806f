// Student's t against the printed tables, and the laws that intervals and ratios obey whatever the times are.
#include "reports/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace stepscope {
namespace {

TEST(Statistics, t_quantile_is_the_tables) {
  // Two-sided 95 %: P(T <= t) = 0.975, as printed in every table of Student's distribution.
  EXPECT_NEAR(t_quantile(0.975, 1), 12.7062, 5e-5);
  EXPECT_NEAR(t_quantile(0.975, 2), 4.30265, 5e-6);
  EXPECT_NEAR(t_quantile(0.975, 4), 2.77645, 5e-6);
  EXPECT_NEAR(t_quantile(0.975, 9), 2.26216, 5e-6);
  EXPECT_NEAR(t_quantile(0.975, 30), 2.04227, 5e-6);
  EXPECT_NEAR(t_quantile(0.995, 10), 3.16927, 5e-6);
  EXPECT_NEAR(t_quantile(0.975, 1e7), 1.95996, 5e-6);  // the normal distribution
}

TEST(Statistics, t_quantile_is_exact_where_a_formula_exists) {
  for (const double p : {0.6, 0.75, 0.9, 0.975, 0.9995}) {
    EXPECT_NEAR(t_quantile(p, 1) / std::tan(std::numbers::pi * (p - 0.5)), 1, 1e-9);  // Cauchy
    EXPECT_NEAR(t_quantile(p, 2) / ((2 * p - 1) / std::sqrt(2 * p * (1 - p))), 1, 1e-9);
    EXPECT_DOUBLE_EQ(t_quantile(1 - p, 7), -t_quantile(p, 7));
  }
}

TEST(Statistics, one_visit_gives_no_interval) {
  const Interval interval = mean_of_logs(std::vector<double>{5.0});
  EXPECT_DOUBLE_EQ(interval.middle, 5);
  EXPECT_FALSE(interval.low.has_value() || interval.high.has_value());
  EXPECT_EQ(verdict_of(interval), Verdict::undecided);
}

TEST(Statistics, an_interval_of_two_is_the_formula) {
  // logs 0 and 2 d: mean d, standard error d, so exp(d -+ t d) with one degree of freedom.
  const double d = 0.01, t = std::tan(std::numbers::pi * 0.475);
  const Interval interval = mean_of_logs(std::vector<double>{1, std::exp(2 * d)});
  EXPECT_NEAR(interval.middle, std::exp(d), 1e-12);
  EXPECT_NEAR(*interval.low, std::exp(d - t * d), 1e-9);
  EXPECT_NEAR(*interval.high, std::exp(d + t * d), 1e-9);
}

TEST(Statistics, times_in_another_unit_give_the_same_interval_in_that_unit) {
  const std::vector<double> ns{183.1e6, 180.4e6, 190.2e6};
  std::vector<double> ms;
  for (const double value : ns) ms.push_back(value / 1e6);
  const Interval a = mean_of_logs(ns), b = mean_of_logs(ms);
  EXPECT_NEAR(a.middle / 1e6, b.middle, 1e-9);
  EXPECT_NEAR(*a.low / 1e6, *b.low, 1e-9);
  EXPECT_NEAR(*a.high / 1e6, *b.high, 1e-9);
}

TEST(Statistics, a_run_against_itself_is_one) {
  const VisitsByRound run{{1, {10.0}}, {2, {14.0, 15.0}}, {3, {9.0}}};
  const Interval ratio = ratio_within_rounds(run, run).value();
  EXPECT_DOUBLE_EQ(ratio.middle, 1);
  EXPECT_DOUBLE_EQ(*ratio.low, 1);
  EXPECT_DOUBLE_EQ(*ratio.high, 1);
  EXPECT_EQ(verdict_of(ratio), Verdict::same);
}

TEST(Statistics, drift_between_rounds_cancels) {
  VisitsByRound a, b;
  for (int round = 1; round <= 4; ++round) {  // the machine slows by half a round; a takes 0.8 of b throughout
    const double drift = std::pow(1.5, round);
    a[round] = {0.8 * drift};
    b[round] = {drift};
  }
  b[9] = {1e6};  // a round that only one of them has says nothing
  const Interval ratio = ratio_within_rounds(a, b).value();
  EXPECT_NEAR(ratio.middle, 0.8, 1e-12);
  EXPECT_NEAR(*ratio.high / *ratio.low, 1, 1e-9);
  EXPECT_EQ(ratio.count, 4);
  EXPECT_EQ(verdict_of(ratio), Verdict::faster);
  EXPECT_EQ(verdict_of(ratio_within_rounds(b, a).value()), Verdict::slower);
}

TEST(Statistics, no_common_round_is_no_ratio) {
  EXPECT_FALSE(ratio_within_rounds({{1, {1.0}}}, {{2, {1.0}}}).has_value());
}

// By Welch's and Satterthwaite's formulas, the tail of t integrated by the midpoint rule in 200,000 parts.
TEST(Statistics, independent_visits_are_compared_by_welchs_t) {
  const std::vector<double> a{1.0, 1.1, 1.05}, b{1.2, 1.25, 1.3, 1.22};
  const RatioTest test = ratio_of_independent(a, b);
  EXPECT_NEAR(test.ratio.middle, 0.844815845378914, 1e-12);
  EXPECT_NEAR(test.p.value(), 0.009156134523976815, 1e-6);
  EXPECT_LT(*test.ratio.high, 1);
  EXPECT_GT(ratio_of_independent(a, b, 0.999).ratio.high, 1);  // p is above 0.001
  const RatioTest itself = ratio_of_independent(a, a);
  EXPECT_EQ(itself.ratio.middle, 1);
  EXPECT_EQ(itself.p.value(), 1);
  EXPECT_FALSE(ratio_of_independent(a, std::vector<double>{1.0}).p.has_value());
  EXPECT_FALSE(ratio_of_independent(a, std::vector<double>{1.0}).ratio.low.has_value());
}

TEST(Statistics, holm_steps_down) {
  using Flags = std::vector<bool>;
  EXPECT_EQ(holm(std::vector<double>{0.01, 0.04, 0.03}), (Flags{true, false, false}));  // 0.03 > 0.05 / 2
  EXPECT_EQ(holm(std::vector<double>{0.02, 0.001, 0.04}), (Flags{true, true, true}));
  EXPECT_EQ(holm(std::vector<double>{0.02, 0.02, 0.02}), (Flags{false, false, false}));  // each above 0.05 / 3
  EXPECT_EQ(holm(std::vector<double>{}), Flags{});
}

TEST(Statistics, verdicts) {
  EXPECT_EQ(verdict_of({.middle = 1.002, .low = 0.995, .high = 1.009, .count = 3}), Verdict::same);
  EXPECT_EQ(verdict_of({.middle = 1.0, .low = 0.97, .high = 1.03, .count = 3}), Verdict::undecided);
  EXPECT_EQ(verdict_of({.middle = 0.95, .low = 0.93, .high = 0.97, .count = 3}), Verdict::faster);
}

TEST(Statistics, trend_sees_a_visit_that_slows_and_not_one_that_jitters) {
  std::vector<double> steady, slowing;
  for (int i = 0; i < 30; ++i) {
    const double jitter = (i * 7 % 5 - 2) * 0.004;
    steady.push_back(100 * (1 + jitter));
    slowing.push_back(100 * (1 + jitter + 0.003 * i));
  }
  EXPECT_FALSE(trend_of(steady).drifts);
  EXPECT_TRUE(trend_of(slowing).drifts);
  EXPECT_NEAR(trend_of(slowing).ratio, 1.06, 0.01);  // 20 steps of 0.003 between the middles of the thirds
  EXPECT_FALSE(trend_of(std::vector<double>{1, 2, 3}).drifts);
}

TEST(Statistics, spread_is_a_fraction) {
  EXPECT_FALSE(spread_of(std::vector<double>{1.0}).has_value());
  const double s = std::log(1.1);  // logs -s, 0, s: standard deviation s
  EXPECT_NEAR(spread_of(std::vector<double>{1 / 1.1, 1, 1.1}).value(), std::expm1(s), 1e-12);
  EXPECT_DOUBLE_EQ(median_of(std::vector<double>{4, 1, 3, 2}), 2.5);
}

TEST(Statistics, rank_correlation_sees_order_alone) {
  const std::vector<double> a{1, 5, 2, 9}, cubes{1, 125, 8, 729}, falling{-1, -5, -2, -9};
  EXPECT_DOUBLE_EQ(*rank_correlation(a, cubes), 1);
  EXPECT_DOUBLE_EQ(*rank_correlation(a, falling), -1);
  // 1 - 6 sum d^2 / (n (n^2 - 1)) with one neighbouring exchange: d = 1, 1.
  EXPECT_NEAR(*rank_correlation(a, std::vector<double>{1, 9, 2, 5}), 1 - 6.0 * 2 / (4 * 15), 1e-12);
  // Ranks 0 1.5 1.5 3 against 0 1 2 3, by the formula of Pearson.
  EXPECT_NEAR(*rank_correlation(std::vector<double>{1, 2, 2, 3}, std::vector<double>{1, 2, 3, 4}),
              4.5 / std::sqrt(4.5 * 5), 1e-12);
  EXPECT_FALSE(rank_correlation(std::vector<double>{1, 1}, std::vector<double>{1, 2}));
  EXPECT_FALSE(rank_correlation(std::vector<double>{1}, std::vector<double>{1}));
}

}  // namespace
}  // namespace stepscope
