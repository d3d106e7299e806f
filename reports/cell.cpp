#include "reports/cell.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "reports/statistics.h"

namespace stepscope {

namespace {

std::vector<double> medians_of(std::span<const Visit> visits, VisitKind kind) {
  std::vector<double> medians;
  for (const Visit& visit : visits) {
    if (visit.kind == kind && visit.outcome == Outcome::ok && !visit.step_time_ns.empty()) {
      medians.push_back(median_of(visit.step_time_ns));
    }
  }
  return medians;
}

void set_time(Record& record, const std::vector<double>& medians) {
  const Interval interval = mean_of_logs(medians);
  record.step_time_ns =
      StepTime{.median = interval.middle, .low = interval.low, .high = interval.high, .visits = interval.count};
  const double step_seconds = interval.middle * 1e-9;
  record.tokens_per_second = static_cast<double>(record.tokens_per_step) / step_seconds;
  if (!record.peak.flops_per_second) return;
  record.mfu = static_cast<double>(record.flops.model) / step_seconds / *record.peak.flops_per_second;
  record.hfu = static_cast<double>(record.flops.launched) / step_seconds / *record.peak.flops_per_second;
}

// Drift within a visit cancels, for its untraced steps lie on both sides of the traced ones.
void set_overhead(Record& record, std::span<const Visit> visits) {
  std::vector<double> ratios;
  Interval overhead;
  for (const Visit& visit : visits) {
    if (visit.outcome != Outcome::ok || !visit.profiler || visit.step_time_ns.empty()) continue;
    const std::vector<double>& untraced = visit.profiler->untraced_step_time_ns;
    if (untraced.empty()) continue;
    ratios.push_back(median_of(visit.step_time_ns) / median_of(untraced));
    overhead = ratio_of_independent(visit.step_time_ns, untraced).ratio;
    overhead.middle = ratios.back();
  }
  if (ratios.empty()) return;
  if (ratios.size() > 1) overhead = mean_of_logs(ratios);
  const auto less_one = [](const std::optional<double>& ratio) {
    return ratio ? std::optional(*ratio - 1) : std::nullopt;
  };
  record.profiler_overhead = overhead.middle - 1;
  record.profiler_overhead_low = less_one(overhead.low);
  record.profiler_overhead_high = less_one(overhead.high);
}

void set_used_bytes(Record& record, const Visit& visit) {
  std::optional<std::int64_t> used;
  if (!visit.used_by_category.empty()) {
    used = std::accumulate(visit.used_by_category.begin(), visit.used_by_category.end(), std::int64_t{0},
                           [](std::int64_t sum, const auto& entry) { return sum + entry.second; });
  } else if (visit.arena_used_bytes) {
    used = record.bytes.state + *visit.arena_used_bytes;
  }
  if (used) record.bytes.used_peak = std::max(record.bytes.used_peak.value_or(0), *used);
  if (record.bytes.host && visit.host_used_bytes)
    record.bytes.host->used = std::max(record.bytes.host->used.value_or(0), *visit.host_used_bytes);
}

void set_outcome(Record& record, std::span<const Visit> visits, bool timed) {
  const auto failed = [](const Visit& visit) { return visit.outcome != Outcome::ok; };
  const auto last_failed = std::find_if(visits.rbegin(), visits.rend(), failed);
  // A loss that is no number is a property of the cell, whatever its times; any other failure is one of the visit.
  const auto diverged =
      std::find_if(visits.begin(), visits.end(), [](const Visit& visit) { return visit.outcome == Outcome::diverged; });
  if (diverged != visits.end()) {
    record.outcome = Outcome::diverged;
    record.reason = diverged->reason;
  } else if (timed) {
    record.outcome = Outcome::ok;
    record.reason = last_failed == visits.rend()
                        ? ""
                        : fmt::format("{} of {} visits failed: {} visit of round {}, {}: {}", record.failed_visits,
                                      visits.size(), name_of(last_failed->kind), last_failed->round,
                                      name_of(last_failed->outcome), last_failed->reason);
  } else if (last_failed != visits.rend()) {
    record.outcome = last_failed->outcome;
    record.reason = last_failed->reason;
  }
}

}  // namespace

Record record_of(Record planned, std::span<const Visit> visits) {
  Record record = std::move(planned);
  if (visits.empty()) return record;
  const std::string unverified = record.outcome == Outcome::unverified ? record.reason : "";
  const std::vector<double> timed = medians_of(visits, VisitKind::timed);
  record.failed_visits = record.disturbed_visits = 0;
  for (const Visit& visit : visits) {
    record.disturbed_visits += visit.disturbance.disturbed ? 1 : 0;
    if (visit.outcome != Outcome::ok) {
      ++record.failed_visits;
      continue;
    }
    set_used_bytes(record, visit);
    if (visit.loss_scaling && (!record.loss_scaling || visit.loss_scaling->steps > record.loss_scaling->steps))
      record.loss_scaling = visit.loss_scaling;
    if (!record.numerics.loss) record.numerics.loss = visit.numerics.loss;
    record.numerics.arithmetic = visit.numerics.arithmetic;
    if (visit.numerics.not_computed) record.numerics.not_computed = visit.numerics.not_computed;
  }
  if (!timed.empty()) {
    set_time(record, timed);
    set_overhead(record, visits);
  }
  set_outcome(record, visits, !timed.empty());
  if (!unverified.empty() && record.outcome == Outcome::ok) mark_unverified(record, unverified);
  return record;
}

}  // namespace stepscope
