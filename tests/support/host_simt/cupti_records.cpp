// Activity records of a simulated card, in CUPTI's own structures, into buffers of the client's.
#include "tests/support/host_simt/simulation.cuh"

#if __has_include(<cupti.h>)

#include <unistd.h>

#include <array>
#include <cstring>

#include "tests/support/host_simt/cupti_state.cuh"

namespace stepscope::host_simt {

Client& client() {
  static Client one;
  return one;
}

void complete_buffer() {
  Client& c = client();
  if (c.buffer == nullptr) return;
  std::uint8_t* const buffer = std::exchange(c.buffer, nullptr);
  c.completed(nullptr, 0, buffer, c.bytes, c.used);
}

namespace {

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

bool kernels_on() { return on(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) || on(CUPTI_ACTIVITY_KIND_KERNEL); }

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
  r.kind =
      on(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) ? CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL : CUPTI_ACTIVITY_KIND_KERNEL;
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
  r.copyKind = in    ? CUPTI_ACTIVITY_MEMCPY_KIND_HTOD
               : out ? CUPTI_ACTIVITY_MEMCPY_KIND_DTOH
                     : CUPTI_ACTIVITY_MEMCPY_KIND_DTOD;
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

void put_memory(bool allocated, bool asynchronous, CUpti_ActivityMemoryKind kind, const void* at, std::size_t bytes) {
  if (!on(CUPTI_ACTIVITY_KIND_MEMORY2)) return;
  CUpti_ActivityMemory4 r;
  std::memset(&r, 0, sizeof(r));
  r.kind = CUPTI_ACTIVITY_KIND_MEMORY2;
  r.memoryOperationType =
      allocated ? CUPTI_ACTIVITY_MEMORY_OPERATION_TYPE_ALLOCATION : CUPTI_ACTIVITY_MEMORY_OPERATION_TYPE_RELEASE;
  r.memoryKind = kind;
  r.correlationId = ApiCall::current();
  r.address = reinterpret_cast<std::uint64_t>(at), r.bytes = bytes;
  r.timestamp = static_cast<std::uint64_t>(simulation()->now_ns());
  r.processId = static_cast<std::uint32_t>(getpid()), r.contextId = context;
  r.isAsync = asynchronous ? 1 : 0;
  put(r);
}

}  // namespace

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

}  // namespace stepscope::host_simt

#else

namespace stepscope::host_simt {

void record_work(const Described&, const Placed&) {}
void record_call(Api, std::int64_t, std::int64_t, std::uint32_t) {}
void record_memory(bool, bool, const void*, std::size_t) {}
void record_pinned(bool, const void*, std::size_t) {}

}  // namespace stepscope::host_simt

#endif
