// CUPTI's activities and callbacks of a simulated card: the functions that a profiler calls, linked before the real library, with records in
// CUPTI's own structures and buffers of the client's. Reading them (cuptiActivityGetNextRecord) stays the real library's: it needs no card.
// Without a simulated card nothing is recorded, for nothing has a time. Records come on the thread that made the call; none is dropped.
// Not told: latency timestamps, synchronisations, GRAPH_TRACE, what recording itself costs but for flushing buffers.
#include "tests/support/host_simt/simulation.cuh"

#if __has_include(<cupti.h>)

#include <cstring>

#include "tests/support/host_simt/cupti_state.cuh"

namespace stepscope::host_simt {

namespace {

constexpr std::int64_t flush_ns = 50'000;  // of a buffer, assumed

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

void tell_node_created(cudaGraph_t, cudaGraphNode_t, const Described&) {}
void tell_node_cloned(cudaGraph_t, cudaGraphNode_t, cudaGraphNode_t, const Described&) {}

}  // namespace stepscope::host_simt

#endif
