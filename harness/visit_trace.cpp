#include "harness/visit_trace.h"

#include "profiles/attribution.h"
#include "profiles/device_account.h"

namespace stepscope {

namespace {

std::vector<TimeSum> sums_of(const std::vector<NamedTime>& rows) {
  std::vector<TimeSum> sums;
  for (const NamedTime& row : rows) sums.push_back({.name = row.name, .count = row.count, .time_ns = row.time_ns});
  return sums;
}

void add_account(ProfilerAccount& account, const Trace& trace) {
  const DeviceAccount device = account_of(trace);
  account.device_ns = device.device_ns;
  account.operations_ns = device.operations_ns;
  account.remainders = sums_of(device.remainders);
  account.outside = sums_of(device.outside);
  account.overheads = sums_of(device.overheads);
  account.dropped_records = trace.lost.dropped_records;
  account.untimed_records = trace.lost.untimed_records;
  account.unread_bytes = trace.lost.unread_bytes;
  for (const auto& [kind, count] : trace.lost.other_kinds)
    account.other_records.emplace_back("kind " + std::to_string(kind), count);
}

}  // namespace

void add_trace(Visit& visit, ProfilerAccount& account, const Program& program, const Trace& trace) {
  for (const AttributedTime& row : attribute(program, trace)) {
    visit.spans.push_back({.phase = row.phase,
                           .site = row.site,
                           .operation = row.operation,
                           .count = row.count,
                           .time_ns = row.time_ns,
                           .flops = row.flops,
                           .bytes = row.bytes});
  }
  for (const KernelTime& row : kernel_times(program, trace)) {
    visit.kernels.push_back({.name = row.name,
                             .phase = row.phase,
                             .site = row.site,
                             .operation = row.operation,
                             .count = row.count,
                             .time_ns = row.time_ns,
                             .flops = row.flops,
                             .bytes = row.bytes});
  }
  visit.operations = time_by_work(program, trace);
  if (trace.of_card) add_account(account, trace);
}

}  // namespace stepscope
