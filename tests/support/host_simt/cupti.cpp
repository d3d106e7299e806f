// CUPTI's activities and callbacks of a simulated card: the functions that a profiler calls, linked before the real library, with records in
// CUPTI's own structures and buffers of the client's. Reading them (cuptiActivityGetNextRecord) stays the real library's: it needs no card.
// Without a simulated card nothing is recorded, for nothing has a time. Records come on the thread that made the call; none is dropped.
// Not told: latency timestamps, synchronisations, GRAPH_TRACE, what recording itself costs but for flushing buffers.
#include "tests/support/host_simt/simulation.cuh"

#if __has_include(<cupti.h>)

#include <cupti.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <set>

namespace stepscope::host_simt {

namespace {

constexpr std::int64_t flush_ns = 50'000;  // of a buffer, assumed
constexpr std::uint32_t context = 1;

struct ApiNames {
  Api api;
  CUpti_ActivityKind kind;
  CUpti_CallbackId cbid;
};
constexpr std::array<ApiNames, 18> api_names{{
    {Api::malloc, CUPTI_ACTIVITY_KIND_RUNTIME, CUPTI_RUNTIME_TRACE_CBID_cudaMalloc_v3020},
    {Api::free, CUPTI_ACTIVITY_KIND_RUNTIME, CUPTI_RUNTIME_TRACE_CBID_cudaFree_v3020},
    {Api::malloc_host, CUPTI_ACTIVITY_KIND_RUNTIME, CUPTI_RUNTIME_TRACE_CBID_cudaMallocHost_v3020},
    {Api::free_host, CUPTI_ACTIVITY_KIND_RUNTIME, CUPTI_RUNTIME_TRACE_CBID_cudaFreeHost_v3020},
    {Api::malloc_async, CUPTI_ACTIVITY_KIND_RUNTIME, CUPTI_RUNTIME_TRACE_CBID_cudaMallocAsync_v11020},
    {Api::free_async, CUPTI_ACTIVITY_KIND_RUNTIME, CUPTI_RUNTIME_TRACE_CBID_cudaFreeAsync_v11020},
    {Api::copy, CUPTI_ACTIVITY_KIND_RUNTIME, CUPTI_RUNTIME_TRACE_CBID_cudaMemcpy_v3020},
    {Api::copy_async, CUPTI_ACTIVITY_KIND_RUNTIME, CUPTI_RUNTIME_TRACE_CBID_cudaMemcpyAsync_v3020},
    {Api::set_async, CUPTI_ACTIVITY_KIND_RUNTIME, CUPTI_RUNTIME_TRACE_CBID_cudaMemsetAsync_v3020},
    {Api::launch, CUPTI_ACTIVITY_KIND_RUNTIME, CUPTI_RUNTIME_TRACE_CBID_cudaLaunchKernelExC_v11060},
    {Api::library_launch, CUPTI_ACTIVITY_KIND_DRIVER, CUPTI_DRIVER_TRACE_CBID_cuLaunchKernelEx},
    {Api::graph_launch, CUPTI_ACTIVITY_KIND_RUNTIME, CUPTI_RUNTIME_TRACE_CBID_cudaGraphLaunch_v10000},
    {Api::graph_instantiate, CUPTI_ACTIVITY_KIND_RUNTIME, CUPTI_RUNTIME_TRACE_CBID_cudaGraphInstantiate_v12000},
    {Api::stream_synchronize, CUPTI_ACTIVITY_KIND_RUNTIME, CUPTI_RUNTIME_TRACE_CBID_cudaStreamSynchronize_v3020},
    {Api::event_synchronize, CUPTI_ACTIVITY_KIND_RUNTIME, CUPTI_RUNTIME_TRACE_CBID_cudaEventSynchronize_v3020},
    {Api::device_synchronize, CUPTI_ACTIVITY_KIND_RUNTIME, CUPTI_RUNTIME_TRACE_CBID_cudaDeviceSynchronize_v3020},
    {Api::event_record, CUPTI_ACTIVITY_KIND_RUNTIME, CUPTI_RUNTIME_TRACE_CBID_cudaEventRecord_v3020},
    {Api::stream_wait, CUPTI_ACTIVITY_KIND_RUNTIME, CUPTI_RUNTIME_TRACE_CBID_cudaStreamWaitEvent_v3020},
}};

struct Client {
  CUpti_BuffersCallbackRequestFunc requested = nullptr;
  CUpti_BuffersCallbackCompleteFunc completed = nullptr;
  std::set<CUpti_ActivityKind> kinds;
  std::set<std::pair<CUpti_ActivityKind, CUpti_CallbackId>> calls;  // told one by one, where their kind is not on
  std::set<std::pair<CUpti_ActivityKind, CUpti_CallbackId>> calls_off;
  std::map<CUpti_ExternalCorrelationKind, std::vector<std::uint64_t>> external;
  std::map<CUpti_ActivityAttribute, std::vector<char>> attributes;
  std::uint8_t* buffer = nullptr;
  std::size_t bytes = 0, used = 0, most_records = 0, records = 0, dropped = 0;
  CUpti_CallbackFunc callback = nullptr;
  void* user = nullptr;
  std::set<CUpti_CallbackDomain> domains;
  std::set<std::pair<CUpti_CallbackDomain, CUpti_CallbackId>> callbacks;
};
Client& client() {
  static Client one;
  return one;
}

bool on(CUpti_ActivityKind kind) { return simulation() != nullptr && client().kinds.contains(kind); }
bool kernels_on() { return on(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) || on(CUPTI_ACTIVITY_KIND_KERNEL); }

void complete_buffer() {
  Client& c = client();
  if (c.buffer == nullptr) return;
  std::uint8_t* const buffer = std::exchange(c.buffer, nullptr);
  c.completed(nullptr, 0, buffer, c.bytes, c.used);
}

bool request_buffer() {
  Client& c = client();
  c.used = c.records = 0;
  if (c.requested != nullptr) c.requested(&c.buffer, &c.bytes, &c.most_records);
  return c.buffer != nullptr;
}

template <class Record>
void put(const Record& record) {
  Client& c = client();
  const auto is_full = [&] {
    return c.used + sizeof(record) > c.bytes || (c.most_records > 0 && c.records == c.most_records);
  };
  if (c.buffer != nullptr && is_full()) complete_buffer();
  if ((c.buffer == nullptr && !request_buffer()) || is_full()) {
    ++c.dropped;
    return;
  }
  std::memcpy(c.buffer + c.used, &record, sizeof(record));
  c.used += sizeof(record);
  ++c.records;
}

void put_kernel(const Described& work, const Placed& placed) {
  CUpti_ActivityKernel10 r;
  std::memset(&r, 0, sizeof(r));
  r.kind = on(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) ? CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL : CUPTI_ACTIVITY_KIND_KERNEL;
  r.start = static_cast<std::uint64_t>(placed.start_ns), r.end = static_cast<std::uint64_t>(placed.end_ns);
  r.completed = r.end;
  r.contextId = context, r.streamId = placed.stream, r.correlationId = placed.correlation;
  r.gridX = static_cast<int>(work.grid.x), r.gridY = static_cast<int>(work.grid.y);
  r.gridZ = static_cast<int>(work.grid.z);
  r.blockX = static_cast<int>(work.block.x), r.blockY = static_cast<int>(work.block.y);
  r.blockZ = static_cast<int>(work.block.z);
  r.dynamicSharedMemory = static_cast<int>(work.shared_bytes);
  r.name = work.name != nullptr ? work.name : name_of_function(work.function);
  r.graphNodeId = placed.graph_node, r.graphId = placed.graph;
  put(r);
}

std::uint8_t memory_kind(bool on_device, bool pinned) {
  if (on_device) return CUPTI_ACTIVITY_MEMORY_KIND_DEVICE;
  return pinned ? CUPTI_ACTIVITY_MEMORY_KIND_PINNED : CUPTI_ACTIVITY_MEMORY_KIND_PAGEABLE;
}

void put_copy(const Described& work, const Placed& placed) {
  CUpti_ActivityMemcpy6 r;
  std::memset(&r, 0, sizeof(r));
  r.kind = CUPTI_ACTIVITY_KIND_MEMCPY;
  const bool in = work.direction == cudaMemcpyHostToDevice, out = work.direction == cudaMemcpyDeviceToHost;
  r.copyKind = in ? CUPTI_ACTIVITY_MEMCPY_KIND_HTOD
                  : out ? CUPTI_ACTIVITY_MEMCPY_KIND_DTOH : CUPTI_ACTIVITY_MEMCPY_KIND_DTOD;
  r.srcKind = memory_kind(!in, work.pinned), r.dstKind = memory_kind(!out, work.pinned);
  r.flags = work.pinned ? CUPTI_ACTIVITY_FLAG_MEMCPY_ASYNC : 0;
  r.bytes = work.bytes, r.copyCount = 1;
  r.start = static_cast<std::uint64_t>(placed.start_ns), r.end = static_cast<std::uint64_t>(placed.end_ns);
  r.contextId = context, r.streamId = placed.stream, r.correlationId = placed.correlation;
  r.graphNodeId = placed.graph_node, r.graphId = placed.graph;
  put(r);
}

void put_set(const Described& work, const Placed& placed) {
  CUpti_ActivityMemset4 r;
  std::memset(&r, 0, sizeof(r));
  r.kind = CUPTI_ACTIVITY_KIND_MEMSET;
  r.value = work.value, r.bytes = work.bytes, r.memoryKind = CUPTI_ACTIVITY_MEMORY_KIND_DEVICE;
  r.flags = CUPTI_ACTIVITY_FLAG_MEMSET_ASYNC;
  r.start = static_cast<std::uint64_t>(placed.start_ns), r.end = static_cast<std::uint64_t>(placed.end_ns);
  r.contextId = context, r.streamId = placed.stream, r.correlationId = placed.correlation;
  r.graphNodeId = placed.graph_node, r.graphId = placed.graph;
  put(r);
}

// The correlation first, as CUPTI gives them: an external id is of the calls that are recorded.
void put_external(std::uint32_t correlation) {
  if (!on(CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION)) return;
  for (const auto& [kind, ids] : client().external) {
    if (ids.empty()) continue;
    CUpti_ActivityExternalCorrelation r;
    std::memset(&r, 0, sizeof(r));
    r.kind = CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION;
    r.externalKind = kind, r.externalId = ids.back(), r.correlationId = correlation;
    put(r);
  }
}

void put_overhead(std::int64_t start_ns, std::int64_t end_ns) {
  if (!on(CUPTI_ACTIVITY_KIND_OVERHEAD)) return;
  CUpti_ActivityOverhead3 r;
  std::memset(&r, 0, sizeof(r));
  r.kind = CUPTI_ACTIVITY_KIND_OVERHEAD;
  r.overheadKind = CUPTI_ACTIVITY_OVERHEAD_CUPTI_BUFFER_FLUSH;
  r.objectKind = CUPTI_ACTIVITY_OBJECT_THREAD;
  r.objectId.pt.processId = static_cast<std::uint32_t>(getpid());
  r.objectId.pt.threadId = static_cast<std::uint32_t>(gettid());
  r.start = static_cast<std::uint64_t>(start_ns), r.end = static_cast<std::uint64_t>(end_ns);
  put(r);
}

void put_memory(bool allocated, bool asynchronous, CUpti_ActivityMemoryKind kind, const void* at, std::size_t bytes) {
  if (!on(CUPTI_ACTIVITY_KIND_MEMORY2)) return;
  CUpti_ActivityMemory4 r;
  std::memset(&r, 0, sizeof(r));
  r.kind = CUPTI_ACTIVITY_KIND_MEMORY2;
  r.memoryOperationType = allocated ? CUPTI_ACTIVITY_MEMORY_OPERATION_TYPE_ALLOCATION
                                    : CUPTI_ACTIVITY_MEMORY_OPERATION_TYPE_RELEASE;
  r.memoryKind = kind;
  r.correlationId = ApiCall::current();
  r.address = reinterpret_cast<std::uint64_t>(at), r.bytes = bytes;
  r.timestamp = static_cast<std::uint64_t>(simulation()->now_ns());
  r.processId = static_cast<std::uint32_t>(getpid()), r.contextId = context;
  r.isAsync = asynchronous ? 1 : 0;
  put(r);
}

bool is_called_back(CUpti_CallbackDomain domain, CUpti_CallbackId cbid) {
  const Client& c = client();
  return c.callback != nullptr && (c.domains.contains(domain) || c.callbacks.contains({domain, cbid}));
}

void tell(CUpti_CallbackId cbid, const CUpti_GraphData& graph) {
  if (!is_called_back(CUPTI_CB_DOMAIN_RESOURCE, cbid)) return;
  CUpti_GraphData copy = graph;
  CUpti_ResourceData data{};
  data.resourceDescriptor = &copy;
  client().callback(client().user, CUPTI_CB_DOMAIN_RESOURCE, cbid, &data);
}

CUgraphNodeType type_of(const Described& work) {
  switch (work.kind) {
    case Described::Kind::kernel: return CU_GRAPH_NODE_TYPE_KERNEL;
    case Described::Kind::copy: return CU_GRAPH_NODE_TYPE_MEMCPY;
    case Described::Kind::set: return CU_GRAPH_NODE_TYPE_MEMSET;
    default: return CU_GRAPH_NODE_TYPE_EMPTY;
  }
}

CUptiResult enable_call(CUpti_ActivityKind kind, CUpti_CallbackId cbid, bool enable) {
  Client& c = client();
  if (enable)
    c.calls.insert({kind, cbid}), c.calls_off.erase({kind, cbid});
  else
    c.calls.erase({kind, cbid}), c.calls_off.insert({kind, cbid});
  return CUPTI_SUCCESS;
}

}  // namespace

void record_work(const Described& work, const Placed& placed) {
  if (work.kind == Described::Kind::kernel && kernels_on()) put_kernel(work, placed);
  if (work.kind == Described::Kind::copy && on(CUPTI_ACTIVITY_KIND_MEMCPY)) put_copy(work, placed);
  if (work.kind == Described::Kind::set && on(CUPTI_ACTIVITY_KIND_MEMSET)) put_set(work, placed);
}

void record_call(Api api, std::int64_t start_ns, std::int64_t end_ns, std::uint32_t correlation) {
  const ApiNames& names = api_names.at(static_cast<std::size_t>(api));
  const Client& c = client();
  const std::pair call{names.kind, names.cbid};
  if (!(c.kinds.contains(names.kind) ? !c.calls_off.contains(call) : c.calls.contains(call))) return;
  put_external(correlation);
  CUpti_ActivityAPI r;
  std::memset(&r, 0, sizeof(r));
  r.kind = names.kind, r.cbid = names.cbid;
  r.start = static_cast<std::uint64_t>(start_ns), r.end = static_cast<std::uint64_t>(end_ns);
  r.processId = static_cast<std::uint32_t>(getpid()), r.threadId = static_cast<std::uint32_t>(gettid());
  r.correlationId = correlation;
  put(r);
}

void record_memory(bool allocated, bool asynchronous, const void* at, std::size_t bytes) {
  put_memory(allocated, asynchronous, CUPTI_ACTIVITY_MEMORY_KIND_DEVICE, at, bytes);
}
void record_pinned(bool allocated, const void* at, std::size_t bytes) {
  put_memory(allocated, false, CUPTI_ACTIVITY_MEMORY_KIND_PINNED, at, bytes);
}

void tell_node_created(cudaGraph_t graph, cudaGraphNode_t node, const Described& work) {
  CUpti_GraphData data{};
  data.graph = graph, data.node = node, data.nodeType = type_of(work);
  tell(CUPTI_CBID_RESOURCE_GRAPHNODE_CREATED, data);
}
void tell_node_cloned(cudaGraph_t graph, cudaGraphNode_t node, cudaGraphNode_t original, const Described& work) {
  CUpti_GraphData data{};
  data.originalGraph = graph, data.node = node, data.originalNode = original, data.nodeType = type_of(work);
  tell(CUPTI_CBID_RESOURCE_GRAPHNODE_CLONED, data);
}

}  // namespace stepscope::host_simt

using namespace stepscope::host_simt;

struct CUpti_Subscriber_st {};

// Refuses what CUPTI refuses of a client that it does not know, or that asks without saying where to.
static CUptiResult if_subscribed(CUpti_SubscriberHandle subscriber) {
  return subscriber == nullptr || client().callback == nullptr ? CUPTI_ERROR_INVALID_PARAMETER : CUPTI_SUCCESS;
}

extern "C" {

CUptiResult cuptiActivityRegisterCallbacks(CUpti_BuffersCallbackRequestFunc requested,
                                           CUpti_BuffersCallbackCompleteFunc completed) {
  if (requested == nullptr || completed == nullptr) return CUPTI_ERROR_INVALID_PARAMETER;
  client().requested = requested, client().completed = completed;
  return CUPTI_SUCCESS;
}
CUptiResult cuptiActivityEnable(CUpti_ActivityKind kind) {
  client().kinds.insert(kind);
  return CUPTI_SUCCESS;
}
CUptiResult cuptiActivityDisable(CUpti_ActivityKind kind) {
  client().kinds.erase(kind);
  return CUPTI_SUCCESS;
}
CUptiResult cuptiActivityEnableRuntimeApi(CUpti_CallbackId cbid, std::uint8_t enable) {
  return enable_call(CUPTI_ACTIVITY_KIND_RUNTIME, cbid, enable != 0);
}
CUptiResult cuptiActivityEnableDriverApi(CUpti_CallbackId cbid, std::uint8_t enable) {
  return enable_call(CUPTI_ACTIVITY_KIND_DRIVER, cbid, enable != 0);
}
CUptiResult cuptiActivityFlushAll(std::uint32_t) {
  Simulation* const card = simulation();
  if (card != nullptr && client().buffer != nullptr) {
    const std::int64_t start = card->now_ns();
    card->host_passes(flush_ns);
    put_overhead(start, card->now_ns());
  }
  complete_buffer();
  return CUPTI_SUCCESS;
}
CUptiResult cuptiActivityFlushPeriod(std::uint32_t) { return CUPTI_SUCCESS; }
CUptiResult cuptiActivityGetNumDroppedRecords(CUcontext, std::uint32_t, std::size_t* dropped) {
  *dropped = std::exchange(client().dropped, 0);
  return CUPTI_SUCCESS;
}
CUptiResult cuptiActivitySetAttribute(CUpti_ActivityAttribute which, std::size_t* bytes, void* value) {
  if (bytes == nullptr || value == nullptr) return CUPTI_ERROR_INVALID_PARAMETER;
  const auto* const first = static_cast<const char*>(value);
  client().attributes[which].assign(first, first + *bytes);
  return CUPTI_SUCCESS;
}
CUptiResult cuptiActivityGetAttribute(CUpti_ActivityAttribute which, std::size_t* bytes, void* value) {
  const auto found = client().attributes.find(which);
  if (found == client().attributes.end()) return CUPTI_ERROR_INVALID_PARAMETER;
  if (*bytes < found->second.size()) return CUPTI_ERROR_PARAMETER_SIZE_NOT_SUFFICIENT;
  *bytes = found->second.size();
  std::memcpy(value, found->second.data(), *bytes);
  return CUPTI_SUCCESS;
}
CUptiResult cuptiActivityPushExternalCorrelationId(CUpti_ExternalCorrelationKind kind, std::uint64_t id) {
  client().external[kind].push_back(id);
  return CUPTI_SUCCESS;
}
CUptiResult cuptiActivityPopExternalCorrelationId(CUpti_ExternalCorrelationKind kind, std::uint64_t* last) {
  std::vector<std::uint64_t>& ids = client().external[kind];
  if (ids.empty()) return CUPTI_ERROR_QUEUE_EMPTY;
  if (last != nullptr) *last = ids.back();
  ids.pop_back();
  return CUPTI_SUCCESS;
}
CUptiResult cuptiActivityRegisterTimestampCallback(CUpti_TimestampCallbackFunc) {
  return CUPTI_SUCCESS;  // and stays without use: all times are the simulation's
}
CUptiResult cuptiGetTimestamp(std::uint64_t* now) {
  if (simulation() == nullptr) return CUPTI_ERROR_NOT_INITIALIZED;
  *now = static_cast<std::uint64_t>(simulation()->now_ns());
  return CUPTI_SUCCESS;
}
CUptiResult cuptiGetGraphNodeId(CUgraphNode node, std::uint64_t* id) {
  if (node == nullptr) return CUPTI_ERROR_INVALID_PARAMETER;
  *id = node->id;
  return CUPTI_SUCCESS;
}

CUptiResult cuptiSubscribe(CUpti_SubscriberHandle* subscriber, CUpti_CallbackFunc callback, void* user) {
  static CUpti_Subscriber_st one;
  if (client().callback != nullptr) return CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED;
  if (callback == nullptr || subscriber == nullptr) return CUPTI_ERROR_INVALID_PARAMETER;
  client().callback = callback, client().user = user;
  *subscriber = &one;
  return CUPTI_SUCCESS;
}
CUptiResult cuptiSubscribe_v2(CUpti_SubscriberHandle* subscriber, CUpti_CallbackFunc callback, void* user,
                              CUpti_SubscriberParams*) {
  return cuptiSubscribe(subscriber, callback, user);
}
CUptiResult cuptiUnsubscribe(CUpti_SubscriberHandle subscriber) {
  if (const CUptiResult error = if_subscribed(subscriber); error != CUPTI_SUCCESS) return error;
  client().callback = nullptr;
  client().domains.clear();
  client().callbacks.clear();
  return CUPTI_SUCCESS;
}
CUptiResult cuptiEnableCallback(std::uint32_t enable, CUpti_SubscriberHandle subscriber, CUpti_CallbackDomain domain,
                                CUpti_CallbackId cbid) {
  if (const CUptiResult error = if_subscribed(subscriber); error != CUPTI_SUCCESS) return error;
  if (enable != 0)
    client().callbacks.insert({domain, cbid});
  else
    client().callbacks.erase({domain, cbid});
  return CUPTI_SUCCESS;
}
CUptiResult cuptiEnableDomain(std::uint32_t enable, CUpti_SubscriberHandle subscriber, CUpti_CallbackDomain domain) {
  if (const CUptiResult error = if_subscribed(subscriber); error != CUPTI_SUCCESS) return error;
  if (enable != 0)
    client().domains.insert(domain);
  else
    client().domains.erase(domain);
  return CUPTI_SUCCESS;
}
CUptiResult cuptiFinalize() {
  complete_buffer();
  client() = {};
  return CUPTI_SUCCESS;
}
}

#else

namespace stepscope::host_simt {

void record_work(const Described&, const Placed&) {}
void record_call(Api, std::int64_t, std::int64_t, std::uint32_t) {}
void record_memory(bool, bool, const void*, std::size_t) {}
void record_pinned(bool, const void*, std::size_t) {}
void tell_node_created(cudaGraph_t, cudaGraphNode_t, const Described&) {}
void tell_node_cloned(cudaGraph_t, cudaGraphNode_t, cudaGraphNode_t, const Described&) {}

}  // namespace stepscope::host_simt

#endif
