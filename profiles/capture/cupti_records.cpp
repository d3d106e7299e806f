#include "profiles/capture/cupti_records.h"

#include <cupti.h>
#include <cxxabi.h>

#include <cstdlib>
#include <memory>
#include <string>

namespace stepscope {

namespace {

std::string demangled(const char* name) {
  if (name == nullptr) return "a kernel without a name";
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(abi::__cxa_demangle(name, nullptr, nullptr, &status), std::free);
  return status == 0 ? text.get() : name;
}

const char* copy_name(std::uint8_t kind) {
  switch (kind) {
    case CUPTI_ACTIVITY_MEMCPY_KIND_HTOD: return "copy host to device";
    case CUPTI_ACTIVITY_MEMCPY_KIND_DTOH: return "copy device to host";
    case CUPTI_ACTIVITY_MEMCPY_KIND_DTOD: return "copy device to device";
    case CUPTI_ACTIVITY_MEMCPY_KIND_HTOH: return "copy host to host";
    default: return "copy";
  }
}

DeviceAllocation::Memory memory_of(CUpti_ActivityMemoryKind kind) {
  switch (kind) {
    case CUPTI_ACTIVITY_MEMORY_KIND_DEVICE:
    case CUPTI_ACTIVITY_MEMORY_KIND_DEVICE_STATIC:
    case CUPTI_ACTIVITY_MEMORY_KIND_ARRAY: return DeviceAllocation::Memory::device;
    case CUPTI_ACTIVITY_MEMORY_KIND_PINNED: return DeviceAllocation::Memory::pinned;
    case CUPTI_ACTIVITY_MEMORY_KIND_MANAGED:
    case CUPTI_ACTIVITY_MEMORY_KIND_MANAGED_STATIC: return DeviceAllocation::Memory::managed;
    default: return DeviceAllocation::Memory::other;
  }
}

const char* overhead_name(CUpti_ActivityOverheadKind kind) {
  switch (kind) {
    case CUPTI_ACTIVITY_OVERHEAD_DRIVER_COMPILER: return "compiling";
    case CUPTI_ACTIVITY_OVERHEAD_CUPTI_BUFFER_FLUSH: return "profiler: buffer flush";
    case CUPTI_ACTIVITY_OVERHEAD_CUPTI_INSTRUMENTATION: return "profiler: instrumentation";
    case CUPTI_ACTIVITY_OVERHEAD_CUPTI_RESOURCE: return "profiler: resources";
    case CUPTI_ACTIVITY_OVERHEAD_RUNTIME_TRIGGERED_MODULE_LOADING: return "module loading";
    case CUPTI_ACTIVITY_OVERHEAD_LAZY_FUNCTION_LOADING: return "lazy loading";
    case CUPTI_ACTIVITY_OVERHEAD_COMMAND_BUFFER_FULL: return "command buffer full";
    case CUPTI_ACTIVITY_OVERHEAD_ACTIVITY_BUFFER_REQUEST: return "profiler: buffer request";
    case CUPTI_ACTIVITY_OVERHEAD_UVM_ACTIVITY_INIT: return "profiler: managed memory";
    default: return "overhead of an unknown kind";
  }
}

std::int64_t signed_of(std::uint64_t number) { return static_cast<std::int64_t>(number); }

// One record after another; size_ is that of the last, as far as its kind is known here.
class RecordReader {
 public:
  explicit RecordReader(DeviceActivity& activity) : activity_(activity) {}

  // The record's size in bytes; 0 where nothing here knows its kind.
  std::size_t read(const CUpti_Activity* record) {
    switch (record->kind) {
      case CUPTI_ACTIVITY_KIND_KERNEL:
      case CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL: return as<CUpti_ActivityKernel10>(record);
      case CUPTI_ACTIVITY_KIND_MEMCPY: return as<CUpti_ActivityMemcpy6>(record);
      case CUPTI_ACTIVITY_KIND_MEMSET: return as<CUpti_ActivityMemset4>(record);
      case CUPTI_ACTIVITY_KIND_MEMORY2: return as<CUpti_ActivityMemory4>(record);
      case CUPTI_ACTIVITY_KIND_MEMORY_POOL: return as<CUpti_ActivityMemoryPool3>(record);
      case CUPTI_ACTIVITY_KIND_RUNTIME:
      case CUPTI_ACTIVITY_KIND_DRIVER: return as<CUpti_ActivityAPI>(record);
      case CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION: return as<CUpti_ActivityExternalCorrelation>(record);
      case CUPTI_ACTIVITY_KIND_OVERHEAD: return as<CUpti_ActivityOverhead3>(record);
      default: ++activity_.lost.other_kinds[static_cast<int>(record->kind)]; return 0;
    }
  }

 private:
  template <class Record>
  std::size_t as(const CUpti_Activity* record) {
    add(*reinterpret_cast<const Record*>(record));
    return sizeof(Record);
  }

  template <class Record>
  void add_work(const Record& r, WorkKind kind, std::string name) {
    if (r.end == 0 || r.end < r.start) {
      ++activity_.lost.untimed_records;
      return;
    }
    DeviceWork& work = activity_.work.emplace_back();
    work.kind = kind;
    work.name = std::move(name);
    work.begin_ns = signed_of(r.start);
    work.end_ns = signed_of(r.end);
    work.device = r.deviceId;
    work.stream = r.streamId;
    work.correlation = r.correlationId;
    work.graph_node = r.graphNodeId;
    if constexpr (requires { r.bytes; }) work.bytes = signed_of(r.bytes);
  }
  void add(const CUpti_ActivityKernel10& r) { add_work(r, WorkKind::kernel, demangled(r.name)); }
  void add(const CUpti_ActivityMemcpy6& r) { add_work(r, WorkKind::copy, copy_name(r.copyKind)); }
  void add(const CUpti_ActivityMemset4& r) { add_work(r, WorkKind::set, "set device"); }

  void add(const CUpti_ActivityMemory4& r) {
    const bool pooled = r.isAsync != 0 && r.memoryPoolConfig.memoryPoolType != CUPTI_ACTIVITY_MEMORY_POOL_TYPE_INVALID;
    activity_.allocations.push_back({.memory = pooled ? DeviceAllocation::Memory::pool : memory_of(r.memoryKind),
                                     .release = r.memoryOperationType == CUPTI_ACTIVITY_MEMORY_OPERATION_TYPE_RELEASE,
                                     .address = r.address,
                                     .bytes = signed_of(r.bytes),
                                     .at_ns = signed_of(r.timestamp),
                                     .correlation = r.correlationId});
  }
  // A pool's size is no allocation of its own: what is taken from it is told by records of memory.
  void add(const CUpti_ActivityMemoryPool3&) {}

  void add(const CUpti_ActivityAPI& r) {
    const char* name = nullptr;
    const bool runtime = r.kind == CUPTI_ACTIVITY_KIND_RUNTIME;
    cuptiGetCallbackName(runtime ? CUPTI_CB_DOMAIN_RUNTIME_API : CUPTI_CB_DOMAIN_DRIVER_API, r.cbid, &name);
    std::string text = name == nullptr ? (runtime ? "runtime call " : "driver call ") + std::to_string(r.cbid) : name;
    if (const auto version = text.rfind("_v"); version != std::string::npos) text.resize(version);
    activity_.calls.push_back({.name = std::move(text),
                               .begin_ns = signed_of(r.start),
                               .end_ns = signed_of(r.end),
                               .thread = r.threadId,
                               .correlation = r.correlationId});
  }

  void add(const CUpti_ActivityExternalCorrelation& r) {
    if (r.externalKind == CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0)
      activity_.owner_of_correlation[r.correlationId] = r.externalId;
  }

  void add(const CUpti_ActivityOverhead3& r) {
    std::free(r.overheadData);  // as cupti_activity.h asks of who reads it
    const std::string what = overhead_name(r.overheadKind);
    activity_.overheads.push_back({.what = what,
                                   .profiler = what.starts_with("profiler"),
                                   .begin_ns = signed_of(r.start),
                                   .end_ns = signed_of(r.end),
                                   .correlation = r.correlationId});
  }

  DeviceActivity& activity_;
};

}  // namespace

void add_records(DeviceActivity& activity, std::uint8_t* buffer, std::size_t valid_bytes) {
  RecordReader reader(activity);
  CUpti_Activity* record = nullptr;
  const std::uint8_t* end_of_last = buffer;
  bool end_known = true;
  CUptiResult result = CUPTI_SUCCESS;
  while ((result = cuptiActivityGetNextRecord(buffer, valid_bytes, &record)) == CUPTI_SUCCESS) {
    const std::size_t size = reader.read(record);
    end_known = size > 0;
    end_of_last = reinterpret_cast<const std::uint8_t*>(record) + size;
  }
  // A record that is cut off ends the walk as the buffer's end does, one of an invalid kind by an error.
  const std::ptrdiff_t rest = buffer + valid_bytes - end_of_last;
  if (result != CUPTI_ERROR_MAX_LIMIT_REACHED || (end_known && rest > 0)) activity.lost.unread_bytes += rest;
}

}  // namespace stepscope
