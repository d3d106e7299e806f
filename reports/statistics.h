// How sure a time is. The unit of replication is the visit (one process): steps within one share its caches, its pages and its
// neighbours, so their number is no evidence. Times are positive and their errors are factors, so everything is done on logarithms.
//     const Interval cell = mean_of_logs({median_of(steps_of_visit_1), median_of(steps_of_visit_2), ...});
//     const Interval ratio = ratio_within_rounds(cell_by_round, baseline_by_round);   // drift between rounds cancels
// Units are the caller's. An empty list is a mistake of the caller (std::invalid_argument).
// Source: Student 1908; the quantile inverts the regularised incomplete beta function (Numerical Recipes 6.4, Lentz's fraction).
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace stepscope {

inline constexpr double confidence_level = 0.95;

// The x with P(T <= x) = probability for Student's t with so many degrees of freedom (>= 1). Relative error below 1e-9.
[[nodiscard]] double t_quantile(double probability, double degrees);

[[nodiscard]] double median_of(std::span<const double> values);  // of an even number: the mean of the middle two

struct Interval {
  double middle = 1;
  std::optional<double> low = {}, high = {};  // absent for a single value: one visit gives no interval
  int count = 0;  // of independent values
};

// exp of the mean of the logs, with its two-sided t-interval.
[[nodiscard]] Interval mean_of_logs(std::span<const double> values, double confidence = confidence_level);

// Medians of visits by round; a round may hold several visits of a cell.
using VisitsByRound = std::map<int, std::vector<double>>;

// a / b: the ratio within each round that has both, then mean_of_logs over rounds. Nothing where no round has both.
[[nodiscard]] std::optional<Interval> ratio_within_rounds(const VisitsByRound& a, const VisitsByRound& b);

// a / b of visits that share no rounds: Welch's t on the logs (Welch 1947). An interval and p only where both have two values or more.
struct RatioTest {
  Interval ratio = {};
  std::optional<double> p = {};  // of a ratio as far from 1 or farther, were there none
};
[[nodiscard]] RatioTest ratio_of_independent(std::span<const double> a, std::span<const double> b,
                                             double confidence = confidence_level);

// Which of many tests hold together: the chance that any of them is a false alarm stays below `level` (Holm 1979).
[[nodiscard]] std::vector<bool> holm(std::span<const double> p, double level = 1 - confidence_level);

// Did a visit get slower or faster as it ran? Last third against first third, Welch's t on the logs.
struct Trend {
  double ratio = 1;  // median of the last third / median of the first
  bool drifts = false;  // beyond chance (99 %) and beyond 1 %
};
[[nodiscard]] Trend trend_of(std::span<const double> steps);  // fewer than nine steps: no verdict

// One visit's typical distance from the cell's mean, as a fraction: exp(standard deviation of the logs) - 1. Below two values: nothing.
[[nodiscard]] std::optional<double> spread_of(std::span<const double> visit_medians);

// Spearman's: of the ranks of a and b, equal values sharing theirs. Nothing below two pairs, or where one of them is the same throughout.
[[nodiscard]] std::optional<double> rank_correlation(std::span<const double> a, std::span<const double> b);

enum class Verdict { faster, slower, same, undecided };
[[nodiscard]] std::string_view name_of(Verdict verdict);
inline constexpr double equivalence_margin = 0.01;
// Of a ratio of times: same where the whole interval lies within the margin of 1, faster or slower where it excludes 1, else undecided.
[[nodiscard]] Verdict verdict_of(const Interval& ratio);

}  // namespace stepscope
