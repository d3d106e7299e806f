#include "profiles/attribution.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "model/program/cost.h"
#include "model/program/operation.h"

namespace stepscope {

namespace {

AttributedTime row_for(const Program& program, const Operation& op) {
  return {.phase = std::string(name_of(op.phase)),
          .site = program.site(op.site).path,
          .operation = std::string(op.kind->name),
          .count = 0,
          .time_ns = 0,
          .flops = 0,
          .bytes = 0};
}

// By step, then by their begin.
std::vector<const DeviceSpan*> in_steps(const Trace& trace) {
  std::vector<const DeviceSpan*> spans;
  for (const DeviceSpan& span : trace.device)
    if (span.owner.step >= 0) spans.push_back(&span);
  std::stable_sort(spans.begin(), spans.end(),
                   [](const auto* a, const auto* b) { return a->owner.step < b->owner.step; });
  return spans;
}

// By operation, over all of the trace's steps.
std::vector<std::int64_t> times_ns(const Program& program, const Trace& trace) {
  std::vector<std::int64_t> sums(program.operations.size(), 0);
  if (trace.of_card) {
    for (const DeviceSpan& span : trace.device)
      if (span.owner.operation >= 0) sums[static_cast<std::size_t>(span.owner.operation)] += span.work.duration_ns();
  } else {
    for (const Span& span : trace.spans) sums[static_cast<std::size_t>(span.operation)] += span.end_ns - span.begin_ns;
  }
  return sums;
}

// What lies between operations, by name, over all steps.
std::vector<std::pair<std::string, std::int64_t>> between_ns(const Trace& trace) {
  std::int64_t total = 0, sum = 0, covered = 0, covered_until = 0;
  for (const StepSpan& step : trace.steps) total += step.end_ns - step.begin_ns;
  if (!trace.of_card) {
    for (const Span& span : trace.spans) covered += span.end_ns - span.begin_ns;
    return {{"gaps", total - covered}};
  }
  std::map<std::string, std::int64_t> remainders;
  std::int32_t step = -1;
  for (const DeviceSpan* span : in_steps(trace)) {
    if (std::exchange(step, span->owner.step) != span->owner.step) covered_until = trace.steps.front().begin_ns;
    sum += span->work.duration_ns();
    covered += std::max<std::int64_t>(0, span->work.end_ns - std::max(span->work.begin_ns, covered_until));
    covered_until = std::max(covered_until, span->work.end_ns);
    if (span->owner.operation < 0) remainders[span->remainder] += span->work.duration_ns();
  }
  std::vector<std::pair<std::string, std::int64_t>> rows(remainders.begin(), remainders.end());
  if (sum != covered) rows.emplace_back("overlap", covered - sum);
  rows.emplace_back("gaps", total - covered);
  return rows;
}

}  // namespace

std::vector<AttributedTime> attribute(const Program& program, const Trace& trace) {
  std::vector<AttributedTime> rows;
  std::vector<std::size_t> row_of_operation(program.operations.size());
  std::map<std::tuple<Phase, int, const OperationKind*>, std::size_t> known;
  for (std::size_t i = 0; i < program.operations.size(); ++i) {
    const Operation& op = program.operations[i];
    const auto [place, fresh] = known.try_emplace({op.phase, op.site.index, op.kind}, rows.size());
    if (fresh) rows.push_back(row_for(program, op));
    row_of_operation[i] = place->second;
  }
  if (trace.steps.empty()) return {};
  const auto mean_ns = [&](std::int64_t ns) {
    return static_cast<double>(ns) / static_cast<double>(trace.steps.size());
  };
  for (const Span& span : trace.spans) {
    if (span.step > 0) continue;  // work is the same in every step
    const auto operation = static_cast<std::size_t>(span.operation);
    AttributedTime& row = rows[row_of_operation[operation]];
    const OperationCost cost = cost_of(program, program.operations[operation], span.micro_step);
    ++row.count;
    row.flops += cost.causal_flops;
    row.bytes += cost.read_bytes + cost.written_bytes;
  }
  const std::vector<std::int64_t> times = times_ns(program, trace);
  std::vector<std::int64_t> sums(rows.size(), 0);
  for (std::size_t i = 0; i < times.size(); ++i) sums[row_of_operation[i]] += times[i];
  for (std::size_t r = 0; r < rows.size(); ++r) rows[r].time_ns = mean_ns(sums[r]);
  for (const auto& [name, ns] : between_ns(trace)) {
    AttributedTime& row = rows.emplace_back();
    row.phase = "between";
    row.operation = name;
    row.time_ns = mean_ns(ns);
  }
  return rows;
}

std::vector<TimedWork> time_by_work(const Program& program, const Trace& trace) {
  if (trace.steps.empty()) return {};
  std::vector<TimedWork> rows = counted_work(program);
  std::map<OperationWork, std::size_t> row_of;
  for (std::size_t r = 0; r < rows.size(); ++r) row_of[rows[r].work] = r;
  const std::vector<std::int64_t> times = times_ns(program, trace);
  for (std::size_t i = 0; i < times.size(); ++i)
    rows[row_of.at(work_of(program, program.operations[i]))].time_ns +=
        static_cast<double>(times[i]) / static_cast<double>(trace.steps.size());
  return rows;
}

}  // namespace stepscope
