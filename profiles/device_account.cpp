#include "profiles/device_account.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "model/program/cost.h"
#include "model/program/operation.h"

namespace stepscope {

namespace {

template <class Rows>
void sort_longest_first(Rows& rows) {
  std::stable_sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.time_ns > b.time_ns; });
}

void add_time(std::map<std::string, NamedTime>& rows, const std::string& name, std::int64_t ns) {
  NamedTime& row = rows[name];
  row.name = name;
  ++row.count;
  row.time_ns += ns;
}

std::vector<NamedTime> listed(const std::map<std::string, NamedTime>& by_name) {
  std::vector<NamedTime> rows;
  for (const auto& [name, row] : by_name) rows.push_back(row);
  sort_longest_first(rows);
  return rows;
}

KernelTime place_of(const Program& program, const DeviceSpan& span) {
  if (span.owner.operation < 0)
    return {.name = span.work.name,
            .phase = span.owner.step >= 0 ? "between" : "outside",
            .site = "",
            .operation = span.remainder,
            .flops = {},
            .bytes = {}};
  const Operation& op = program.operations[static_cast<std::size_t>(span.owner.operation)];
  return {.name = span.work.name,
          .phase = std::string(name_of(op.phase)),
          .site = program.site(op.site).path,
          .operation = std::string(op.kind->name),
          .flops = {},
          .bytes = {}};
}

void add_to(std::optional<double>& sum, std::int64_t more) { sum = sum.value_or(0) + static_cast<double>(more); }

void make_mean(KernelTime& row, std::size_t steps) {
  const auto over = static_cast<double>(steps);
  row.count /= over;
  row.time_ns /= over;
  if (row.flops) *row.flops /= over;
  if (row.bytes) *row.bytes /= over;
}

}  // namespace

std::vector<KernelTime> kernel_times(const Program& program, const Trace& trace) {
  if (trace.steps.empty()) return {};
  using RunOfOperation = std::tuple<std::int32_t, std::int32_t, std::int32_t>;
  const auto run_of = [](const DeviceSpan& span) {
    return RunOfOperation{span.owner.step, span.owner.micro_step, span.owner.operation};
  };
  std::map<RunOfOperation, int> kernels_in_run;
  for (const DeviceSpan& span : trace.device)
    if (span.owner.operation >= 0 && span.work.kind == WorkKind::kernel) ++kernels_in_run[run_of(span)];
  std::map<std::tuple<std::string, std::string, std::string, std::string>, KernelTime> rows;
  for (const DeviceSpan& span : trace.device) {
    KernelTime place = place_of(program, span);
    KernelTime& row = rows.try_emplace({place.phase, place.site, place.operation, place.name}, place).first->second;
    row.count += 1;
    row.time_ns += static_cast<double>(span.work.duration_ns());
    if (span.work.bytes) {
      add_to(row.bytes, *span.work.bytes);
    } else if (span.owner.operation >= 0 && kernels_in_run[run_of(span)] == 1) {
      const Operation& op = program.operations[static_cast<std::size_t>(span.owner.operation)];
      const OperationCost cost = cost_of(program, op, span.owner.micro_step);
      add_to(row.flops, cost.causal_flops);
      add_to(row.bytes, cost.read_bytes + cost.written_bytes);
    }
  }
  std::vector<KernelTime> list;
  for (auto& [key, row] : rows) {
    if (row.phase != "outside") make_mean(row, trace.steps.size());
    list.push_back(std::move(row));
  }
  sort_longest_first(list);
  return list;
}

DeviceAccount account_of(const Trace& trace) {
  DeviceAccount account;
  std::map<std::string, NamedTime> remainders, outside, overheads;
  for (const DeviceSpan& span : trace.device) {
    if (span.owner.step < 0 && span.remainder != unknown_owner) {
      add_time(outside, span.remainder, span.work.duration_ns());
      continue;
    }
    account.device_ns += span.work.duration_ns();
    if (span.owner.operation >= 0) {
      account.operations_ns += span.work.duration_ns();
    } else {
      add_time(remainders, span.remainder, span.work.duration_ns());
    }
  }
  for (const DeviceOverhead& overhead : trace.overheads)
    add_time(overheads, overhead.what, overhead.end_ns - overhead.begin_ns);
  account.remainders = listed(remainders);
  account.outside = listed(outside);
  account.overheads = listed(overheads);
  return account;
}

}  // namespace stepscope
