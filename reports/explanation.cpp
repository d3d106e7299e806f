#include "reports/explanation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <tuple>

namespace stepscope {

namespace {

constexpr double residual_limit = 0.02;
constexpr const char* between_operations = "between operations";

using Key = std::tuple<std::string, std::string, std::string>;
Key key_of(const SpanSum& span) { return {span.phase, span.site, span.operation}; }

NamedBytes category_differences(const Bytes& a, const Bytes& b) {
  NamedBytes differences;
  const auto add = [&](const std::string& name, std::int64_t bytes) {
    const auto found =
        std::find_if(differences.begin(), differences.end(), [&](const auto& entry) { return entry.first == name; });
    found == differences.end() ? void(differences.emplace_back(name, bytes)) : void(found->second += bytes);
  };
  for (const auto& [name, bytes] : b.by_category) add(name, bytes);
  for (const auto& [name, bytes] : a.by_category) add(name, -bytes);
  std::int64_t rest = b.predicted_peak - a.predicted_peak;
  for (const auto& [name, bytes] : differences) rest -= bytes;
  if (rest != 0) add("uncategorised", rest);
  return differences;
}

}  // namespace

std::optional<StepProfile> profile_of(const Cell& cell) {
  std::map<Key, SpanSum> sums;
  std::vector<Key> order;  // of the step
  StepProfile profile;
  int visits = 0;
  for (const Visit& visit : cell.visits) {
    if (visit.kind != VisitKind::profiled || visit.outcome != Outcome::ok || visit.spans.empty()) continue;
    ++visits;
    double spans_ns = 0;
    for (const SpanSum& span : visit.spans) {
      if (span.phase == "between")
        continue;  // gaps a profiler noted itself: they are what the operations leave of the step
      spans_ns += span.time_ns;
      const auto [found, added] = sums.try_emplace(key_of(span), span);
      if (added) {
        order.push_back(key_of(span));
      } else {
        found->second.time_ns += span.time_ns;
      }
    }
    // A mean, as the spans are means: only so do they sum. Without profiled steps nothing is known of what lies between.
    const auto& steps = visit.step_time_ns;
    const double total = std::accumulate(steps.begin(), steps.end(), 0.0);
    profile.step_ns += steps.empty() ? spans_ns : total / static_cast<double>(steps.size());
  }
  if (visits == 0) return std::nullopt;
  profile.step_ns /= visits;
  profile.between_operations_ns = profile.step_ns;
  for (const Key& key : order) {
    SpanSum span = sums.at(key);
    span.time_ns /= visits;
    profile.between_operations_ns -= span.time_ns;
    profile.spans.push_back(std::move(span));
  }
  return profile;
}

std::optional<Explanation> explain(const Cell& a, const Cell& b) {
  const std::optional<StepProfile> profile_a = profile_of(a), profile_b = profile_of(b);
  if (!profile_a || !profile_b || !a.record.step_time_ns || !b.record.step_time_ns) return std::nullopt;
  Explanation explanation;
  std::map<Key, Contribution> by_key;
  const auto at = [&](const Key& key) -> Contribution& {
    const auto& [phase, site, operation] = key;
    return by_key.try_emplace(key, Contribution{phase, site, operation}).first->second;
  };
  for (const SpanSum& span : profile_a->spans) at(key_of(span)).a_ns += span.time_ns;
  for (const SpanSum& span : profile_b->spans) at(key_of(span)).b_ns += span.time_ns;
  Contribution& between = at({"", "", between_operations});
  between.a_ns = profile_a->between_operations_ns;
  between.b_ns = profile_b->between_operations_ns;

  explanation.difference_ns = b.record.step_time_ns->median - a.record.step_time_ns->median;
  explanation.residual_ns = explanation.difference_ns;
  for (const auto& [key, contribution] : by_key) {
    explanation.residual_ns -= contribution.difference_ns();
    explanation.contributions.push_back(contribution);
  }
  std::stable_sort(explanation.contributions.begin(), explanation.contributions.end(),
                   [](const Contribution& x, const Contribution& y) {
                     return std::abs(x.difference_ns()) > std::abs(y.difference_ns());
                   });
  explanation.explains = std::abs(explanation.residual_ns) <= std::abs(explanation.difference_ns);
  explanation.residual_is_large =
      std::abs(explanation.residual_ns) > residual_limit * std::abs(explanation.difference_ns);
  explanation.difference_bytes = b.record.bytes.predicted_peak - a.record.bytes.predicted_peak;
  explanation.by_category_bytes = category_differences(a.record.bytes, b.record.bytes);
  return explanation;
}

std::vector<WaterfallStep> grouped(const Explanation& explanation, std::size_t at_most) {
  std::map<std::string, double> sums;
  for (const Contribution& contribution : explanation.contributions) {
    const std::string name = contribution.phase.empty()
                                 ? contribution.operation
                                 : fmt::format("{} {}", contribution.phase, contribution.operation);
    sums[name] += contribution.difference_ns();
  }
  std::vector<WaterfallStep> steps;
  for (const auto& [name, difference] : sums) steps.push_back({name, difference});
  std::stable_sort(steps.begin(), steps.end(), [](const WaterfallStep& a, const WaterfallStep& b) {
    return std::abs(a.difference_ns) > std::abs(b.difference_ns);
  });
  if (steps.size() > at_most) {
    WaterfallStep rest{fmt::format("{} smaller", steps.size() - at_most + 1), 0};
    for (std::size_t i = at_most - 1; i < steps.size(); ++i) rest.difference_ns += steps[i].difference_ns;
    steps.resize(at_most - 1);
    steps.push_back(rest);
  }
  return steps;
}

}  // namespace stepscope
