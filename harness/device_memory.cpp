#include "harness/device_memory.h"

#include <map>
#include <optional>

namespace stepscope {

namespace {

std::int64_t allocated_bytes(const std::vector<DeviceAllocation>& allocations) {
  std::map<std::uint64_t, std::int64_t> live;  // by address
  for (const DeviceAllocation& one : allocations) {
    if (one.memory != DeviceAllocation::Memory::device && one.memory != DeviceAllocation::Memory::pool) continue;
    if (one.release) {
      live.erase(one.address);
    } else {
      live[one.address] = one.bytes;
    }
  }
  std::int64_t sum = 0;
  for (const auto& [address, bytes] : live) sum += bytes;
  return sum;
}

}  // namespace

NamedBytes device_memory(const Session& session, const Machine& machine, const StepProfiler* profiler,
                         std::int64_t reported_bytes) {
  const std::int64_t states = state_bytes(session.program()).total(), arena = session.plan().plan.arena_bytes;
  NamedBytes rows{{"states", states},
                  {"arena", arena},
                  {"context", machine.context_bytes},
                  {"graphs", session.executor().graph_bytes()}};
  if (profiler != nullptr && !profiler->allocations().empty()) {
    rows.emplace_back("libraries", allocated_bytes(profiler->allocations()) - states - arena);
    rows.emplace_back("profiler", profiler->device_bytes());
  }
  std::int64_t residual = reported_bytes;
  for (const auto& [holder, bytes] : rows) residual -= bytes;
  rows.emplace_back("residual", residual);
  return rows;
}

}  // namespace stepscope
