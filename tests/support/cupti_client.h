// A profiler as small as can be, for tests of what CUPTI's stand-in tells: activities of everything into plain structs, and the nodes of
// graphs. Buffers are read by the real library, which needs no card for it.
//     CuptiClient client;   client.open();   ... a step ...   client.flush();   client.records.kernels
#pragma once

#if __has_include(<cupti.h>)
#define STEPSCOPE_CUPTI_CLIENT

#include <cupti.h>
#include <dlfcn.h>

#include <cstdint>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace stepscope::testing {

class CuptiClient {
 public:
  struct Work {
    std::string name;
    std::int64_t start_ns = 0, end_ns = 0;
    std::uint32_t correlation = 0;
    std::uint64_t graph_node = 0, bytes = 0;
  };
  struct Call {
    std::int64_t start_ns = 0, end_ns = 0;
  };
  struct Allocation {
    bool allocated = false;
    std::uint64_t bytes = 0;
  };
  struct Records {
    std::vector<Work> kernels, copies, sets;
    std::map<std::uint32_t, Call> calls;  // by correlation
    std::map<std::uint32_t, std::uint64_t> external;
    std::vector<Allocation> allocations;
    std::size_t overheads = 0;
  };

  Records records;
  std::set<std::uint64_t> created;  // nodes as captured
  std::map<std::uint64_t, std::uint64_t> originals;  // of nodes that run: the captured one

  [[nodiscard]] std::string why_not() { return next() == nullptr ? "the real libcupti.so.13 cannot be loaded" : ""; }

  void open() {
    current() = this;
    for (const CUpti_ActivityKind kind : kinds) cuptiActivityEnable(kind);
    cuptiActivityRegisterCallbacks(request, complete);
    cuptiSubscribe(&subscriber_, called_back, this);
    cuptiEnableCallback(1, subscriber_, CUPTI_CB_DOMAIN_RESOURCE, CUPTI_CBID_RESOURCE_GRAPHNODE_CREATED);
    cuptiEnableCallback(1, subscriber_, CUPTI_CB_DOMAIN_RESOURCE, CUPTI_CBID_RESOURCE_GRAPHNODE_CLONED);
  }
  void close() {
    if (subscriber_ == nullptr) return;
    for (const CUpti_ActivityKind kind : kinds) cuptiActivityDisable(kind);
    cuptiActivityFlushAll(0);
    cuptiUnsubscribe(subscriber_);
    subscriber_ = nullptr;
  }
  static void flush() { cuptiActivityFlushAll(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED); }
  static void push(std::uint64_t id) {
    cuptiActivityPushExternalCorrelationId(CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0, id);
  }
  static void pop() { cuptiActivityPopExternalCorrelationId(CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0, nullptr); }

 private:
  using Next = decltype(cuptiActivityGetNextRecord);
  static constexpr CUpti_ActivityKind kinds[] = {
      CUPTI_ACTIVITY_KIND_RUNTIME,           CUPTI_ACTIVITY_KIND_DRIVER,  CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION,
      CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, CUPTI_ACTIVITY_KIND_MEMCPY,  CUPTI_ACTIVITY_KIND_MEMSET,
      CUPTI_ACTIVITY_KIND_MEMORY2,           CUPTI_ACTIVITY_KIND_OVERHEAD};
  static constexpr std::size_t buffer_bytes = 16 << 10;  // small, so that several are filled

  static CuptiClient*& current() {  // CUPTI's buffers come without data of the caller's
    static CuptiClient* one = nullptr;
    return one;
  }
  static Next* next() {
    static void* const library = dlopen("libcupti.so.13", RTLD_NOW | RTLD_LOCAL);
    return library == nullptr ? nullptr : reinterpret_cast<Next*>(dlsym(library, "cuptiActivityGetNextRecord"));
  }
  static void CUPTIAPI request(std::uint8_t** buffer, std::size_t* bytes, std::size_t* most) {
    *buffer = static_cast<std::uint8_t*>(std::aligned_alloc(8, buffer_bytes));
    *bytes = buffer_bytes, *most = 0;
  }
  static void CUPTIAPI complete(CUcontext, std::uint32_t, std::uint8_t* buffer, std::size_t, std::size_t valid) {
    CUpti_Activity* record = nullptr;
    while (next()(buffer, valid, &record) == CUPTI_SUCCESS) current()->add(record);
    std::free(buffer);
  }
  static void CUPTIAPI called_back(void* user, CUpti_CallbackDomain, CUpti_CallbackId cbid, const void* told) {
    const auto* const data = static_cast<const CUpti_ResourceData*>(told);
    const auto* const graph = static_cast<const CUpti_GraphData*>(data->resourceDescriptor);
    auto& self = *static_cast<CuptiClient*>(user);
    std::uint64_t node = 0, original = 0;
    cuptiGetGraphNodeId(graph->node, &node);
    if (cbid == CUPTI_CBID_RESOURCE_GRAPHNODE_CREATED) self.created.insert(node);
    if (cbid != CUPTI_CBID_RESOURCE_GRAPHNODE_CLONED) return;
    cuptiGetGraphNodeId(graph->originalNode, &original);
    self.originals[node] = original;
  }
  template <class Record>
  static Work work_of(const Record& r, std::string name, std::uint64_t bytes) {
    return {std::move(name),
            static_cast<std::int64_t>(r.start),
            static_cast<std::int64_t>(r.end),
            r.correlationId,
            r.graphNodeId,
            bytes};
  }
  void add(const CUpti_Activity* record) {
    const auto as = [&]<class Record>(const Record*) { return *reinterpret_cast<const Record*>(record); };
    switch (record->kind) {
      case CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL: {
        const auto r = as(static_cast<CUpti_ActivityKernel10*>(nullptr));
        return records.kernels.push_back(work_of(r, r.name, 0));
      }
      case CUPTI_ACTIVITY_KIND_MEMCPY: {
        const auto r = as(static_cast<CUpti_ActivityMemcpy6*>(nullptr));
        return records.copies.push_back(work_of(r, "copy", r.bytes));
      }
      case CUPTI_ACTIVITY_KIND_MEMSET: {
        const auto r = as(static_cast<CUpti_ActivityMemset4*>(nullptr));
        return records.sets.push_back(work_of(r, "set", r.bytes));
      }
      case CUPTI_ACTIVITY_KIND_RUNTIME:
      case CUPTI_ACTIVITY_KIND_DRIVER: {
        const auto r = as(static_cast<CUpti_ActivityAPI*>(nullptr));
        records.calls[r.correlationId] = {static_cast<std::int64_t>(r.start), static_cast<std::int64_t>(r.end)};
        return;
      }
      case CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION: {
        const auto r = as(static_cast<CUpti_ActivityExternalCorrelation*>(nullptr));
        records.external[r.correlationId] = r.externalId;
        return;
      }
      case CUPTI_ACTIVITY_KIND_MEMORY2: {
        const auto r = as(static_cast<CUpti_ActivityMemory4*>(nullptr));
        const bool allocated = r.memoryOperationType == CUPTI_ACTIVITY_MEMORY_OPERATION_TYPE_ALLOCATION;
        return records.allocations.push_back({allocated, r.bytes});
      }
      default: records.overheads += record->kind == CUPTI_ACTIVITY_KIND_OVERHEAD ? 1 : 0;
    }
  }

  CUpti_SubscriberHandle subscriber_ = nullptr;
};

}  // namespace stepscope::testing

#endif
