#include "profiles/attribution.h"

#include <map>
#include <tuple>

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
  const auto steps = static_cast<std::int64_t>(trace.steps.size());
  if (steps == 0) return {};
  std::int64_t covered_ns = 0, total_ns = 0;
  for (const StepSpan& step : trace.steps) total_ns += step.end_ns - step.begin_ns;
  std::vector<std::int64_t> sums_ns(rows.size(), 0);
  for (const Span& span : trace.spans) {
    const auto operation = static_cast<std::size_t>(span.operation);
    AttributedTime& row = rows[row_of_operation[operation]];
    sums_ns[row_of_operation[operation]] += span.end_ns - span.begin_ns;
    covered_ns += span.end_ns - span.begin_ns;
    if (span.step > 0) continue;  // work is the same in every step
    const OperationCost cost = cost_of(program, program.operations[operation], span.micro_step);
    ++row.count;
    row.flops += cost.causal_flops;
    row.bytes += cost.read_bytes + cost.written_bytes;
  }
  for (std::size_t r = 0; r < rows.size(); ++r)
    rows[r].time_ns = static_cast<double>(sums_ns[r]) / static_cast<double>(steps);
  rows.push_back({.phase = "between",
                  .site = "",
                  .operation = "gaps",
                  .count = 0,
                  .time_ns = static_cast<double>(total_ns - covered_ns) / static_cast<double>(steps),
                  .flops = 0,
                  .bytes = 0});
  return rows;
}

std::vector<TimedWork> time_by_work(const Program& program, const Trace& trace) {
  if (trace.steps.empty()) return {};
  std::vector<TimedWork> rows = counted_work(program);
  std::map<OperationWork, std::size_t> row_of;
  for (std::size_t r = 0; r < rows.size(); ++r) row_of[rows[r].work] = r;
  std::vector<std::size_t> row_of_operation;
  for (const Operation& op : program.operations) row_of_operation.push_back(row_of.at(work_of(program, op)));
  for (const Span& span : trace.spans)
    rows[row_of_operation[static_cast<std::size_t>(span.operation)]].time_ns +=
        static_cast<double>(span.end_ns - span.begin_ns) / static_cast<double>(trace.steps.size());
  return rows;
}

}  // namespace stepscope
