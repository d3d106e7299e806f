// What a card did and what was asked of it, as a profiler told it: plain data without a profiler's types, not yet attributed.
// Times are nanoseconds of the clock that the executor's steps are timed by. profiles/capture fills it, profiles/device_trace.h makes a trace of it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace stepscope {

// Whose work it is that the host issues: an operation's; a step's own, operation -1; or of no step, step -1.
struct WorkOwner {
  std::int32_t step = -1, micro_step = 0, operation = -1;
  bool set_up = false;  // of no step that counts: program, libraries and graphs are made ready and warmed up
  bool operator==(const WorkOwner&) const = default;
};
// As the one number that a profiler carries; never 0. Steps and micro-steps below 2^19, operations below 2^22.
[[nodiscard]] std::uint64_t packed(const WorkOwner& owner);
[[nodiscard]] std::optional<WorkOwner> unpacked(std::uint64_t number);  // none: packed() never made it

enum class WorkKind : std::uint8_t { kernel, copy, set };

struct DeviceWork {
  WorkKind kind = WorkKind::kernel;
  std::string name = {};  // demangled; "copy host to device", "set device"
  std::int64_t begin_ns = 0, end_ns = 0;
  std::uint32_t device = 0, stream = 0;
  std::uint32_t correlation = 0;  // with the call that launched it
  std::uint64_t graph_node = 0;  // 0: launched by itself
  std::optional<std::int64_t> bytes = {};  // moved or set

  [[nodiscard]] std::int64_t duration_ns() const { return end_ns - begin_ns; }
};

struct DeviceCall {  // of the host, that asks for work
  std::string name = {};
  std::int64_t begin_ns = 0, end_ns = 0;
  std::uint32_t thread = 0, correlation = 0;
};

struct DeviceAllocation {
  enum class Memory : std::uint8_t { device, pinned, managed, pool, other } memory = Memory::device;
  bool release = false;
  std::uint64_t address = 0;
  std::int64_t bytes = 0;
  std::int64_t at_ns = 0;
  std::uint32_t correlation = 0;
};

struct DeviceOverhead {  // host time that profiler or driver took for themselves
  std::string what = {};
  bool profiler = false;  // else the driver: lazy loading, compiling
  std::int64_t begin_ns = 0, end_ns = 0;
  std::uint32_t correlation = 0;  // 0: of no call
};

struct LostActivity {  // what the profiler could not tell, so that nobody takes what is left for the whole
  std::int64_t dropped_records = 0;
  std::int64_t unread_bytes = 0;  // of its buffers, behind a record that cannot be read
  std::int64_t untimed_records = 0;  // work without a begin and an end
  std::map<int, std::int64_t> other_kinds = {};  // records by CUPTI's number of their kind, that nothing here reads

  [[nodiscard]] bool any() const { return dropped_records + unread_bytes + untimed_records > 0; }
};

struct DeviceActivity {
  std::vector<DeviceWork> work = {};
  std::vector<DeviceCall> calls = {};
  std::vector<DeviceAllocation> allocations = {};
  std::vector<DeviceOverhead> overheads = {};
  std::unordered_map<std::uint32_t, std::uint64_t> owner_of_correlation = {};
  std::unordered_map<std::uint64_t, std::uint64_t> owner_of_node = {};  // of graphs
  LostActivity lost = {};
};

}  // namespace stepscope
