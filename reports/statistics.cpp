#include "reports/statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>

namespace stepscope {

namespace {

// The continued fraction of the incomplete beta function, by Lentz's method; converges fast for x < (a + 1) / (a + b + 2).
double beta_fraction(double a, double b, double x) {
  constexpr double tiny = 1e-300;
  double c = 1, d = 1 / std::max(tiny, 1 - (a + b) * x / (a + 1)), result = d;
  for (int m = 1; m <= 500; ++m) {
    for (const bool even : {true, false}) {
      const double numerator = even ? m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
                                    : -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
      d = 1 + numerator * d;
      c = 1 + numerator / c;
      d = 1 / (std::abs(d) < tiny ? tiny : d);
      c = std::abs(c) < tiny ? tiny : c;
      result *= d * c;
    }
    if (std::abs(d * c - 1) < 1e-15) break;
  }
  return result;
}

double regularised_beta(double a, double b, double x) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const double front =
      std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) + a * std::log(x) + b * std::log1p(-x));
  return x < (a + 1) / (a + b + 2) ? front * beta_fraction(a, b, x) / a : 1 - front * beta_fraction(b, a, 1 - x) / b;
}

// P(T > t) for t >= 0.
double t_upper_tail(double t, double degrees) {
  return 0.5 * regularised_beta(degrees / 2, 0.5, degrees / (degrees + t * t));
}

double mean_of(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double variance_of(std::span<const double> values) {
  const double mean = mean_of(values);
  double sum = 0;
  for (const double value : values) sum += (value - mean) * (value - mean);
  return sum / static_cast<double>(values.size() - 1);
}

std::vector<double> logs_of(std::span<const double> values) {
  if (values.empty()) throw std::invalid_argument("statistics: no values");
  std::vector<double> logs(values.size());
  std::transform(values.begin(), values.end(), logs.begin(), [](double value) { return std::log(value); });
  return logs;
}

Interval interval_of_logs(std::span<const double> logs, double confidence) {
  const double mean = mean_of(logs);
  Interval interval{.middle = std::exp(mean), .low = {}, .high = {}, .count = static_cast<int>(logs.size())};
  if (logs.size() < 2) return interval;
  const double count = static_cast<double>(logs.size());
  const double half_width = t_quantile(0.5 + confidence / 2, count - 1) * std::sqrt(variance_of(logs) / count);
  interval.low = std::exp(mean - half_width);
  interval.high = std::exp(mean + half_width);
  return interval;
}

struct Spread {
  double variance = 0;  // of the difference of the means
  double degrees = 1;  // of freedom, at least 1
};

// Of two lists of at least two values each, whose variances may differ (Welch and Satterthwaite).
Spread welch(std::span<const double> a, std::span<const double> b) {
  const double count_a = static_cast<double>(a.size()), count_b = static_cast<double>(b.size());
  const double of_a = variance_of(a) / count_a, of_b = variance_of(b) / count_b;
  const double sum = of_a + of_b;
  if (sum == 0) return {0, count_a + count_b - 2};
  return {sum, std::max(1.0, sum * sum / (of_a * of_a / (count_a - 1) + of_b * of_b / (count_b - 1)))};
}

std::vector<double> ranks_of(std::span<const double> values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
  std::vector<double> ranks(values.size());
  for (std::size_t first = 0; first < order.size();) {
    std::size_t end = first;
    while (end < order.size() && values[order[end]] == values[order[first]]) ++end;
    for (std::size_t i = first; i < end; ++i) ranks[order[i]] = static_cast<double>(first + end - 1) / 2;
    first = end;
  }
  return ranks;
}

}  // namespace

double t_quantile(double probability, double degrees) {
  if (!(probability > 0 && probability < 1) || !(degrees >= 1)) throw std::invalid_argument("t_quantile: out of range");
  if (probability < 0.5) return -t_quantile(1 - probability, degrees);
  const double tail = 1 - probability;
  double low = 0, high = 1;
  while (t_upper_tail(high, degrees) > tail) high *= 2;
  for (int i = 0; i < 200 && high - low > 1e-13 * high; ++i) {
    const double middle = (low + high) / 2;
    (t_upper_tail(middle, degrees) > tail ? low : high) = middle;
  }
  return (low + high) / 2;
}

double median_of(std::span<const double> values) {
  if (values.empty()) throw std::invalid_argument("median_of: no values");
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  const std::size_t half = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

Interval mean_of_logs(std::span<const double> values, double confidence) {
  Interval interval = interval_of_logs(logs_of(values), confidence);
  if (values.size() == 1) interval.middle = values[0];  // exp(log(x)) is x only nearly
  return interval;
}

std::optional<Interval> ratio_within_rounds(const VisitsByRound& a, const VisitsByRound& b) {
  std::vector<double> log_ratios;
  for (const auto& [round, visits] : a) {
    const auto other = b.find(round);
    if (other == b.end() || visits.empty() || other->second.empty()) continue;
    log_ratios.push_back(mean_of(logs_of(visits)) - mean_of(logs_of(other->second)));
  }
  if (log_ratios.empty()) return std::nullopt;
  return interval_of_logs(log_ratios, confidence_level);
}

RatioTest ratio_of_independent(std::span<const double> a, std::span<const double> b, double confidence) {
  const std::vector<double> x = logs_of(a), y = logs_of(b);
  const double mean = mean_of(x) - mean_of(y);
  RatioTest test{.ratio = {.middle = std::exp(mean), .count = static_cast<int>(std::min(x.size(), y.size()))}};
  if (test.ratio.count < 2) return test;
  const auto [variance, degrees] = welch(x, y);
  const double error = std::sqrt(variance), half_width = t_quantile(0.5 + confidence / 2, degrees) * error;
  test.ratio.low = std::exp(mean - half_width);
  test.ratio.high = std::exp(mean + half_width);
  test.p = error > 0 ? 2 * t_upper_tail(std::abs(mean) / error, degrees) : mean == 0 ? 1.0 : 0.0;
  return test;
}

std::vector<bool> holm(std::span<const double> p, double level) {
  std::vector<std::size_t> order(p.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return p[a] < p[b]; });
  std::vector<bool> holds(p.size(), false);
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (p[order[i]] > level / static_cast<double>(p.size() - i)) break;
    holds[order[i]] = true;
  }
  return holds;
}

Trend trend_of(std::span<const double> steps) {
  if (steps.size() < 9) return {};
  const std::size_t third = steps.size() / 3;
  const std::span<const double> first = steps.first(third), last = steps.last(third);
  const std::vector<double> first_logs = logs_of(first), last_logs = logs_of(last);
  Trend trend{.ratio = median_of(last) / median_of(first), .drifts = false};
  const double difference = std::abs(mean_of(last_logs) - mean_of(first_logs));
  if (std::abs(trend.ratio - 1) <= equivalence_margin) return trend;
  const auto [variance, degrees] = welch(first_logs, last_logs);
  trend.drifts = difference > t_quantile(0.995, degrees) * std::sqrt(variance);
  return trend;
}

std::optional<double> spread_of(std::span<const double> visit_medians) {
  if (visit_medians.size() < 2) return std::nullopt;
  return std::expm1(std::sqrt(variance_of(logs_of(visit_medians))));
}

std::optional<double> rank_correlation(std::span<const double> a, std::span<const double> b) {
  if (a.size() != b.size()) throw std::invalid_argument("rank_correlation: lists of different lengths");
  if (a.size() < 2) return std::nullopt;
  const std::vector<double> x = ranks_of(a), y = ranks_of(b);
  const double middle = static_cast<double>(a.size() - 1) / 2;
  double xx = 0, yy = 0, xy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    xx += (x[i] - middle) * (x[i] - middle);
    yy += (y[i] - middle) * (y[i] - middle);
    xy += (x[i] - middle) * (y[i] - middle);
  }
  if (xx == 0 || yy == 0) return std::nullopt;
  return xy / std::sqrt(xx * yy);
}

std::string_view name_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::faster: return "faster";
    case Verdict::slower: return "slower";
    case Verdict::same: return "same";
    case Verdict::undecided: return "undecided";
  }
  return "undecided";
}

Verdict verdict_of(const Interval& ratio) {
  if (!ratio.low || !ratio.high) return Verdict::undecided;
  if (*ratio.low > 1 / (1 + equivalence_margin) && *ratio.high < 1 + equivalence_margin) return Verdict::same;
  if (*ratio.high < 1) return Verdict::faster;
  if (*ratio.low > 1) return Verdict::slower;
  return Verdict::undecided;
}

}  // namespace stepscope
