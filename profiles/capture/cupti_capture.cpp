#include <cupti.h>
#include <fmt/format.h>

#include <array>
#include <initializer_list>
#include <string_view>

#include "model/base/clock.h"
#include "model/base/error.h"
#include "profiles/capture/capture.h"
#include "profiles/capture/cupti_loader.h"
#include "profiles/capture/cupti_records.h"
#include "profiles/capture/record_buffers.h"

namespace stepscope {

namespace {

std::string text_of(CUptiResult result) {
  const char* text = nullptr;
  if (cuptiGetResultString(result, &text) != CUPTI_SUCCESS || text == nullptr) text = "no text";
  return fmt::format("{} ({})", text, static_cast<int>(result));
}

struct CuptiRefused {
  std::string why;
};
void require(CUptiResult result, const char* call) {
  if (result != CUPTI_SUCCESS) throw CuptiRefused{fmt::format("CUPTI: {}: {}", call, text_of(result))};
}

std::uint64_t CUPTIAPI time_stamp() { return static_cast<std::uint64_t>(steady_ns()); }

constexpr std::array memory_kinds{CUPTI_ACTIVITY_KIND_MEMORY2, CUPTI_ACTIVITY_KIND_MEMORY_POOL};
constexpr std::array work_kinds{CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION, CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL,
                                CUPTI_ACTIVITY_KIND_MEMCPY, CUPTI_ACTIVITY_KIND_MEMSET, CUPTI_ACTIVITY_KIND_OVERHEAD};
constexpr std::array node_callbacks{CUPTI_CBID_RESOURCE_GRAPHNODE_CREATED, CUPTI_CBID_RESOURCE_GRAPHNODE_CLONED};

// Launches, copies, sets and allocations; not what describes a graph's nodes, nor functions of the host.
bool asks_for_work(std::string_view call) {
  const auto holds = [&](std::string_view part) { return call.find(part) != std::string_view::npos; };
  if (holds("Node") || holds("HostFunc") || holds("LaunchConfig")) return false;
  for (const std::string_view part : {"LaunchKernel", "LaunchCooperative", "GraphLaunch", "cuLaunchGrid", "Memcpy",
                                      "Memset", "Malloc", "HostAlloc", "cudaFree", "cuMemAlloc", "cuMemFree"})
    if (holds(part)) return true;
  return false;
}

// CUPTI calls back without data of the caller's, so that there is one for the process.
RecordBuffers& record_buffers() {
  static RecordBuffers buffers;
  return buffers;
}
void CUPTIAPI buffer_requested(std::uint8_t** buffer, std::size_t* bytes, std::size_t* most_records) {
  *buffer = record_buffers().take();
  *bytes = *buffer == nullptr ? 0 : RecordBuffers::buffer_bytes;
  *most_records = 0;  // as many as fit
}
void CUPTIAPI buffer_completed(CUcontext, std::uint32_t, std::uint8_t* buffer, std::size_t, std::size_t valid_bytes) {
  record_buffers().give_back(buffer, valid_bytes);
}

class CuptiCapture final : public Capture {
 public:
  CuptiCapture() {
    subscribe();
    try {
      require(cuptiActivityRegisterTimestampCallback(time_stamp), "the host's clock");  // before any kind is enabled
      std::uint8_t zeroed = 1;
      std::size_t size = sizeof zeroed;
      require(cuptiActivitySetAttribute(CUPTI_ACTIVITY_ATTR_ZEROED_OUT_ACTIVITY_BUFFER, &size, &zeroed), "buffers");
      require(cuptiActivityRegisterCallbacks(buffer_requested, buffer_completed), "buffers");
      for (const CUpti_ActivityKind kind : memory_kinds) require(cuptiActivityEnable(kind), "allocations");
    } catch (...) {
      cuptiUnsubscribe(subscriber_);
      throw;
    }
  }
  ~CuptiCapture() override {
    if (!stopped_) end();
  }

  void push(std::uint64_t owner) override {
    if (stopped_) return;
    owners_.push_back(owner);
    cuptiActivityPushExternalCorrelationId(CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0, owner);
  }

  void pop() override {
    if (owners_.empty()) return;
    owners_.pop_back();
    std::uint64_t last = 0;
    cuptiActivityPopExternalCorrelationId(CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0, &last);
  }

  std::string trace_work() override {
    try {
      for (const CUpti_ActivityKind kind : work_kinds) require(cuptiActivityEnable(kind), "activities");
      if (set_runtime_calls(1) == 0) require(cuptiActivityEnable(CUPTI_ACTIVITY_KIND_RUNTIME), "calls");
      if (set_driver_calls(1) == 0) require(cuptiActivityEnable(CUPTI_ACTIVITY_KIND_DRIVER), "calls");
      for (const CUpti_CallbackId callback : node_callbacks)
        require(cuptiEnableCallback(1, subscriber_, CUPTI_CB_DOMAIN_RESOURCE, callback), "nodes of graphs");
    } catch (const CuptiRefused& refused) {
      return refused.why;
    }
    return "";
  }

  DeviceActivity stop(const std::function<void()>& wait) override {
    if (stopped_) return {};
    wait();
    require_flushed();
    end();
    for (const RecordBuffers::Full& full : record_buffers().take_full())
      add_records(activity_, full.bytes.get(), full.valid_bytes);
    return std::move(activity_);
  }

 private:
  void subscribe() {
    std::array<char, 2 * CUPTI_OLD_SUBSCRIBER_NAME_MIN_LEN> other{};
    CUpti_SubscriberParams parameters{};
    parameters.structSize = CUpti_SubscriberParams_STRUCT_SIZE;
    parameters.subscriberName = "stepscope";
    parameters.oldSubscriberName = other.data();
    parameters.oldSubscriberSize = other.size() - 1;
    const CUptiResult result = cuptiSubscribe_v2(&subscriber_, called_back, this, &parameters);
    if (result == CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED)
      throw CuptiRefused{fmt::format("external profiler: {}", other[0] == 0 ? "of unknown name" : other.data())};
    require(result, "subscribing");
  }

  // Owners are those of the thread that issues: one, as CUPTI's own stack of them is a thread's.
  static void CUPTIAPI called_back(void* data, CUpti_CallbackDomain domain, CUpti_CallbackId callback,
                                   const void* told) {
    if (domain != CUPTI_CB_DOMAIN_RESOURCE) return;
    const auto* resource = static_cast<const CUpti_ResourceData*>(told);
    const auto& graph = *static_cast<const CUpti_GraphData*>(resource->resourceDescriptor);
    auto& self = *static_cast<CuptiCapture*>(data);
    std::uint64_t node = 0, original = 0;
    if (cuptiGetGraphNodeId(graph.node, &node) != CUPTI_SUCCESS) return;
    auto& owners = self.activity_.owner_of_node;
    if (callback == CUPTI_CBID_RESOURCE_GRAPHNODE_CREATED && !self.owners_.empty()) {
      owners[node] = self.owners_.back();
    } else if (callback == CUPTI_CBID_RESOURCE_GRAPHNODE_CLONED &&
               cuptiGetGraphNodeId(graph.originalNode, &original) == CUPTI_SUCCESS) {
      if (const auto known = owners.find(original); known != owners.end()) owners[node] = std::uint64_t{known->second};
    }
  }

  // How many of them CUPTI takes: other versions may know some no longer.
  static int set_calls(CUpti_CallbackDomain domain, std::uint32_t count, decltype(cuptiActivityEnableRuntimeApi)* set,
                       std::uint8_t enable) {
    int taken = 0;
    for (std::uint32_t callback = 1; callback < count; ++callback) {
      const char* name = nullptr;
      if (cuptiGetCallbackName(domain, callback, &name) == CUPTI_SUCCESS && name != nullptr && asks_for_work(name))
        taken += set(callback, enable) == CUPTI_SUCCESS ? 1 : 0;
    }
    return taken;
  }
  static int set_runtime_calls(std::uint8_t enable) {
    return set_calls(CUPTI_CB_DOMAIN_RUNTIME_API, CUPTI_RUNTIME_TRACE_CBID_SIZE, cuptiActivityEnableRuntimeApi, enable);
  }
  static int set_driver_calls(std::uint8_t enable) {
    return set_calls(CUPTI_CB_DOMAIN_DRIVER_API, CUPTI_DRIVER_TRACE_CBID_SIZE, cuptiActivityEnableDriverApi, enable);
  }

  void require_flushed() {
    const CUptiResult result = cuptiActivityFlushAll(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED);
    if (result != CUPTI_SUCCESS) throw MachineError("CUPTI: flushing: " + text_of(result));
    std::size_t dropped = 0;
    if (cuptiActivityGetNumDroppedRecords(nullptr, 0, &dropped) == CUPTI_SUCCESS)
      activity_.lost.dropped_records += static_cast<std::int64_t>(dropped);
  }

  void end() noexcept {  // the steps that follow pay for nothing
    stopped_ = true;
    while (!owners_.empty()) pop();
    for (const CUpti_ActivityKind kind : work_kinds) cuptiActivityDisable(kind);
    for (const CUpti_ActivityKind kind : memory_kinds) cuptiActivityDisable(kind);
    set_runtime_calls(0);
    set_driver_calls(0);
    for (const CUpti_ActivityKind kind : {CUPTI_ACTIVITY_KIND_RUNTIME, CUPTI_ACTIVITY_KIND_DRIVER})
      cuptiActivityDisable(kind);
    cuptiUnsubscribe(subscriber_);
  }

  CUpti_SubscriberHandle subscriber_ = nullptr;
  std::vector<std::uint64_t> owners_;
  DeviceActivity activity_;
  bool stopped_ = false;
};

}  // namespace

CaptureStart start_capture() {
  static bool started = false;
  if (started) return {nullptr, "CUPTI takes one session a process, and this one's is over"};
  std::uint32_t version = 0;
  if (cuptiGetVersion(&version) != CUPTI_SUCCESS) {
    const std::string why = why_cupti_is_missing();
    return {nullptr, why.empty() ? "CUPTI tells no version" : "CUPTI cannot be loaded: " + why};
  }
  if (version < CUPTI_API_VERSION)
    return {nullptr, fmt::format("CUPTI {} is older than the one this was built with, {}", version, CUPTI_API_VERSION)};
  try {
    CaptureStart start{std::make_unique<CuptiCapture>(), ""};
    started = true;
    return start;
  } catch (const CuptiRefused& refused) {
    return {nullptr, refused.why};
  }
}

}  // namespace stepscope
