// Streams, events, graphs and launches of the stand-in for the CUDA runtime.
#include "tests/support/host_simt/runtime.cuh"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <deque>
#include <stdexcept>
#include <utility>

#include "tests/support/host_simt/device.cuh"
#include "tests/support/host_simt/runtime_parts.cuh"

extern "C" [[gnu::weak]] const bool host_simt_only_simulates;  // of stepscope_simulated (program/only_simulated.cpp)

using stepscope::host_simt::Clock;
using stepscope::host_simt::Node;
using stepscope::host_simt::Work;

namespace {
using Time = std::chrono::steady_clock::time_point;
struct Mark {  // a place in a stream
  cudaStream_t stream = nullptr;
  bool reached = false;
  Time at = {};
  std::int64_t simulated_ns = 0;
};
}  // namespace

namespace {
struct Piece {  // of a stream's work
  Work work;
  std::shared_ptr<Mark> waits_for = {};
};
}  // namespace

struct CUstream_st {
  std::deque<Piece> queue;
  cudaGraph_t capture = nullptr;
  bool blocking = true;
};
struct CUevent_st {
  bool timed = true;
  std::shared_ptr<Mark> mark;
  cudaGraph_t capture = nullptr;  // recorded in a capture, which may have ended
  std::size_t capture_number = 0;
  Clock clock;
};
struct CUgraph_st {
  std::vector<Node> nodes;
  std::map<cudaStream_t, Clock> seen;  // by each stream of the capture: what comes before its next piece of work
  cudaStream_t origin = nullptr;
  bool broken = false;
  std::size_t number = 0;  // of the capture; addresses are used again
};
namespace {
struct Replay {
  std::vector<Node> nodes;
  std::vector<std::size_t> other_order;
  std::vector<stepscope::host_simt::GraphNodeTime> times = {};  // on a simulated card
  std::uint32_t number = 0;
};
}  // namespace
struct CUgraphExec_st {
  std::shared_ptr<const Replay> replay;  // launched ones keep theirs through updates and destruction
};

namespace stepscope::host_simt {

namespace {

double& passed() {
  static double nanoseconds = 0;
  return nanoseconds;
}

constexpr std::size_t threads_a_block = 1024, static_limit = 48 << 10, dynamic_limit = 227 << 10;

struct Runtime {
  std::set<cudaStream_t> streams;
  std::map<const void*, std::size_t> shared_limits;  // by kernel: what cudaFuncSetAttribute allowed
  cudaError_t sticky = cudaSuccess;
  std::string message;
  RuntimeCounts counts;
  std::size_t captures = 0;  // begun so far
  std::uint64_t nodes = 0;  // named so far
  std::uint32_t graphs = 0;  // instantiated so far
};
Runtime& runtime() {
  static Runtime one;
  return one;
}

void run_work(const Work& work) {
  const OnDevice scope;  // opens nothing where no memory is touched
  try {
    if (runtime().sticky == cudaSuccess) work();
    if (const std::size_t bytes = written_past_its_end(); bytes > 0)
      throw std::runtime_error("device memory is written past the end of " + std::to_string(bytes) + " bytes");
  } catch (const std::exception& error) {
    runtime().sticky = refuse(cudaErrorLaunchFailure, error.what());
  }
}

void run_front(cudaStream_t stream) {
  const Work work = std::move(stream->queue.front().work);
  stream->queue.pop_front();
  run_work(work);
}

bool can_go_on(const CUstream_st& stream) {
  return !stream.queue.empty() && (!stream.queue.front().waits_for || stream.queue.front().waits_for->reached);
}

void run_next(cudaStream_t stream) {
  if (stream->queue.empty()) throw std::logic_error("host SIMT: a stream waits for an event of work that is gone");
  if (options().others_first)
    for (const cudaStream_t other : runtime().streams)
      while (other != stream && can_go_on(*other)) run_front(other);
  if (!stream->queue.empty()) run_front(stream);
}

cudaError_t drain(cudaStream_t stream) {
  while (!stream->queue.empty()) run_next(stream);
  return runtime().sticky;
}

void merge(Clock& into, const Clock& other) {
  for (const auto& [stream, count] : other) into[stream] = std::max(into[stream], count);
}

// A node may run when, of every stream, at least as many nodes have run as came before it.
std::vector<std::size_t> last_first(const std::vector<Node>& nodes) {
  std::vector<std::size_t> order;
  std::vector<char> done(nodes.size(), 0);
  Clock ran;
  while (order.size() < nodes.size())
    for (std::size_t i = nodes.size(); i-- > 0;) {
      const auto met = [&](const auto& need) { return ran[need.first] >= need.second; };
      if (done[i] != 0 || !std::all_of(nodes[i].before.begin(), nodes[i].before.end(), met)) continue;
      done[i] = 1;
      ++ran[nodes[i].stream];
      order.push_back(i);
      break;
    }
  return order;
}

std::shared_ptr<CUgraphNode_st> named_node() { return std::make_shared<CUgraphNode_st>(++runtime().nodes); }

std::vector<GraphNodeTime> times_of(const std::vector<Node>& nodes) {
  std::vector<GraphNodeTime> times;
  if (simulation() == nullptr) return times;
  for (const Node& node : nodes)
    times.push_back(
        {.work = node.what, .share = node.share, .stream = node.stream, .before = node.before, .id = node.handle->id});
  simulation()->settle_graph(times);
  return times;
}

std::shared_ptr<const Replay> replay_of(cudaGraph_t graph) {
  std::vector<Node> nodes = graph->nodes;
  for (Node& node : nodes) {
    const std::shared_ptr<CUgraphNode_st> original = std::exchange(node.handle, named_node());
    tell_node_cloned(graph, node.handle.get(), original.get(), node.what);
  }
  return std::make_shared<const Replay>(Replay{nodes, last_first(nodes), times_of(nodes), ++runtime().graphs});
}

cudaError_t has_capture_joined(const CUgraph_st& graph) {
  Clock made;
  for (const Node& node : graph.nodes) ++made[node.stream];
  const Clock& seen = graph.seen.at(graph.origin);
  for (const auto& [stream, count] : made)
    if (const auto found = seen.find(stream); found == seen.end() || found->second < count)
      return refuse(cudaErrorStreamCaptureUnjoined, "a stream that joined the capture has not come back");
  return cudaSuccess;
}

bool is_capturing(const CUevent_st& event) {
  return std::any_of(runtime().streams.begin(), runtime().streams.end(), [&](const cudaStream_t stream) {
    return stream->capture == event.capture && stream->capture->number == event.capture_number;
  });
}

// Of a wait that needs an event to be of work that was issued.
cudaError_t refuse_captured(const CUevent_st& event) {
  if (event.capture == nullptr) return cudaSuccess;
  return refuse(cudaErrorCapturedEvent, "an event that was last recorded in a capture");
}

bool has_a_card() { return simulation() != nullptr || &host_simt_only_simulates == nullptr; }

void leave_capture(const CUgraph_st& graph) {
  for (const auto& [stream, clock] : graph.seen) stream->capture = nullptr;
}

}  // namespace

void pass_time(double nanoseconds) { passed() += nanoseconds; }
RuntimeCounts counts() { return runtime().counts; }
RuntimeCounts& mutable_counts() { return runtime().counts; }
cudaError_t take_error() { return std::exchange(runtime().sticky, cudaSuccess); }
cudaError_t sticky_error() { return runtime().sticky; }
std::string last_message() { return runtime().message; }

cudaError_t refuse(cudaError_t error, const std::string& why) {
  runtime().message = why;
  return error;
}

namespace {
cudaError_t push_piece(cudaStream_t stream, const char* kind, Work work, std::shared_ptr<Mark> waits_for,
                       const Described& what = {}) {
  if (stream == nullptr || stream == cudaStreamLegacy || stream == cudaStreamPerThread)
    return refuse(cudaErrorInvalidResourceHandle, "the default stream is not for this project: use one of your own");
  if (!runtime().streams.contains(stream)) return refuse(cudaErrorInvalidResourceHandle, "a stream that does not live");
  if (what.kind != Described::Kind::nothing && !touches_memory()) work = [] {};
  if (cudaGraph_t graph = stream->capture; graph != nullptr) {
    Clock& clock = graph->seen.at(stream);
    const Share share = simulation() == nullptr ? Share{} : simulation()->share();
    graph->nodes.push_back({stream, kind, std::move(work), clock, what, share, named_node()});
    ++clock[stream];
    tell_node_created(graph, graph->nodes.back().handle.get(), what);
    return cudaSuccess;
  }
  if (Simulation* const card = simulation(); card != nullptr) card->issued(stream, what, ApiCall::current());
  stream->queue.push_back({std::move(work), std::move(waits_for)});
  return options().eager ? drain(stream) : runtime().sticky;
}

}  // namespace

cudaError_t push(cudaStream_t stream, const char* kind, Work work, const Described& what) {
  return push_piece(stream, kind, std::move(work), nullptr, what);
}

cudaError_t enqueue(cudaStream_t stream, Work work, const LibraryKernel& kernel) {
  const ApiCall call(Api::library_launch);
  Described what{.kind = Described::Kind::kernel};
  what.name = kernel.name, what.threads = std::max(1.0, kernel.threads);
  return push(stream, "library", std::move(work), what);
}

cudaError_t unless_capturing(const char* call) {
  bool capturing = false;
  for (const cudaStream_t stream : runtime().streams)
    if (stream->capture != nullptr) capturing = stream->capture->broken = true;
  if (!capturing) return cudaSuccess;
  return refuse(cudaErrorStreamCaptureUnsupported, std::string(call) + " while a stream is capturing");
}

cudaError_t drain_all() {
  if (const cudaError_t error = unless_capturing("synchronising"); error != cudaSuccess) return error;
  for (const cudaStream_t stream : runtime().streams) drain(stream);
  return runtime().sticky;
}

cudaError_t drain_blocking_streams() {
  for (const cudaStream_t stream : runtime().streams)
    if (stream->blocking) drain(stream);
  return runtime().sticky;
}

namespace {
void check(cudaError_t error) {
  if (error != cudaSuccess) throw std::runtime_error(last_message());
}
}  // namespace

void submit_kernel(cudaStream_t stream, const void* kernel, dim3 grid, dim3 block, std::size_t shared_bytes,
                   Work thread) {
  const std::size_t threads = std::size_t{block.x} * block.y * block.z;
  if (threads == 0 || threads > threads_a_block || block.z > 64 || grid.x == 0 || grid.y == 0 || grid.z == 0 ||
      grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535)
    check(refuse(cudaErrorInvalidConfiguration, "launch: grid or block out of range"));
  const auto allowed = runtime().shared_limits.find(kernel);
  if (shared_bytes > (allowed == runtime().shared_limits.end() ? static_limit : allowed->second))
    check(refuse(cudaErrorInvalidValue, "launch: more dynamic shared memory than cudaFuncSetAttribute allowed"));
  const ApiCall call(Api::launch);
  const auto work = [=] {
    run_grid(grid, block, shared_bytes, thread);
    ++runtime().counts.kernels;
  };
  check(push(stream, "kernel", work, described_kernel(kernel, grid, block, shared_bytes)));
}

}  // namespace stepscope::host_simt

using namespace stepscope::host_simt;

extern "C" {

const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaSuccess ? "no error" : runtime().message.c_str();
}
cudaError_t cudaGetLastError() { return runtime().sticky; }  // the error of a kernel stays, as on a card
cudaError_t cudaGetDeviceCount(int* count) {
  *count = has_a_card() ? 1 : 0;
  return has_a_card() ? cudaSuccess : refuse(cudaErrorInsufficientDriver, "only simulated cards are here");
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = has_a_card() ? CUDART_VERSION : 0;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  return device == 0 ? cudaSuccess : refuse(cudaErrorInvalidDevice, "there is one device");
}
cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  const Simulation* const card = simulation();
  *properties = {};
  std::strncpy(properties->name, card == nullptr ? "host SIMT" : card->card().title.c_str(),
               sizeof(properties->name) - 1);
  std::memcpy(properties->uuid.bytes, "host SIMT card 0", sizeof(properties->uuid.bytes));
  properties->l2CacheSize = 1 << 19;
  properties->major = 9;
  properties->multiProcessorCount = card == nullptr ? 132 : card->card().multiprocessors;
  properties->totalGlobalMem = device_bytes();
  properties->sharedMemPerBlockOptin = dynamic_limit;
  properties->warpSize = warpSize;
  return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() {
  const ApiCall call(Api::device_synchronize);
  if (Simulation* const card = simulation(); card != nullptr) card->host_waits(card->end_of_all());
  return drain_all();
}
cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize)
    return refuse(cudaErrorNotSupported, "cudaFuncSetAttribute: of that attribute nothing is emulated");
  if (value < 0 || static_cast<std::size_t>(value) > dynamic_limit)
    return refuse(cudaErrorInvalidValue, "more shared memory than a block can have");
  runtime().shared_limits[kernel] = static_cast<std::size_t>(value);
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  *stream = new CUstream_st;
  (*stream)->blocking = flags != cudaStreamNonBlocking;
  runtime().streams.insert(*stream);
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  if (stream->capture != nullptr) {
    stream->capture->broken = true;
    return refuse(cudaErrorStreamCaptureUnsupported, "cudaStreamDestroy of a stream that is capturing");
  }
  drain(stream);
  if (Simulation* const card = simulation(); card != nullptr) card->forget(stream);
  runtime().streams.erase(stream);
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (const cudaError_t error = unless_capturing("cudaStreamSynchronize"); error != cudaSuccess) return error;
  const ApiCall call(Api::stream_synchronize);
  if (Simulation* const card = simulation(); card != nullptr) card->host_waits(card->end_of(stream));
  return drain(stream);
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
  if (flags != 0) return refuse(cudaErrorNotSupported, "cudaStreamWaitEvent: no flag is emulated");
  if (cudaGraph_t graph = event->capture; graph != nullptr) {
    if (!is_capturing(*event)) return refuse(cudaErrorCapturedEvent, "an event of a capture that has ended");
    if (stream->capture != nullptr && stream->capture != graph)
      return refuse(cudaErrorStreamCaptureMerge, "an event of another capture");
    stream->capture = graph;
    merge(graph->seen[stream], event->clock);
    return cudaSuccess;
  }
  if (stream->capture != nullptr) {
    stream->capture->broken = true;
    return refuse(cudaErrorStreamCaptureIsolation, "a capture waits for an event from outside");
  }
  if (!event->mark) return cudaSuccess;  // never recorded: as on a card, nothing to wait for
  const ApiCall call(Api::stream_wait);
  if (Simulation* const card = simulation(); card != nullptr) card->stream_waits(stream, event->mark->simulated_ns);
  const auto wait = [mark = event->mark] {
    while (!mark->reached) run_next(mark->stream);
  };
  return push_piece(stream, "wait", wait, event->mark);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  if ((flags & ~unsigned{cudaEventDisableTiming | cudaEventBlockingSync}) != 0)
    return refuse(cudaErrorNotSupported, "cudaEventCreateWithFlags: of that flag nothing is emulated");
  *event = new CUevent_st;
  (*event)->timed = (flags & cudaEventDisableTiming) == 0;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  event->capture = stream->capture;
  event->mark.reset();
  if (stream->capture != nullptr) {
    event->capture_number = stream->capture->number;
    event->clock = stream->capture->seen.at(stream);
    return cudaSuccess;
  }
  const ApiCall call(Api::event_record);
  const auto mark = event->mark = std::make_shared<Mark>(Mark{stream});
  if (Simulation* const card = simulation(); card != nullptr) mark->simulated_ns = card->end_of(stream);
  return push(stream, "event", [mark] {
    mark->reached = true;
    mark->at = std::chrono::steady_clock::now() + std::chrono::nanoseconds(static_cast<std::int64_t>(passed()));
  });
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (const cudaError_t error = unless_capturing("cudaEventSynchronize"); error != cudaSuccess) return error;
  if (const cudaError_t error = refuse_captured(*event); error != cudaSuccess) return error;
  if (!event->mark) return refuse(cudaErrorInvalidResourceHandle, "an event that was never recorded");
  const ApiCall call(Api::event_synchronize);
  if (Simulation* const card = simulation(); card != nullptr) card->host_waits(event->mark->simulated_ns);
  while (!event->mark->reached) run_next(event->mark->stream);
  return runtime().sticky;
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  for (const cudaEvent_t event : {begin, end}) {
    if (const cudaError_t error = refuse_captured(*event); error != cudaSuccess) return error;
    if (!event->timed || !event->mark)
      return refuse(cudaErrorInvalidResourceHandle, "an event without timing, or never recorded");
    if (!event->mark->reached) return refuse(cudaErrorNotReady, "an event that is not reached: synchronise first");
  }
  *milliseconds = simulation() == nullptr
                      ? std::chrono::duration<float, std::milli>(end->mark->at - begin->mark->at).count()
                      : static_cast<float>(end->mark->simulated_ns - begin->mark->simulated_ns) * 1e-6f;
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  if (stream->capture != nullptr) return refuse(cudaErrorIllegalState, "the stream is capturing already");
  stream->capture = new CUgraph_st;
  stream->capture->number = ++runtime().captures;
  stream->capture->origin = stream;
  stream->capture->seen[stream];
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  if (stream->capture == nullptr || stream->capture->origin != stream)
    return refuse(cudaErrorIllegalState, "no capture began on this stream");
  std::unique_ptr<CUgraph_st> made(stream->capture);
  leave_capture(*made);
  *graph = nullptr;
  if (made->broken) return refuse(cudaErrorStreamCaptureInvalidated, "capture invalidated: " + runtime().message);
  if (const cudaError_t error = has_capture_joined(*made); error != cudaSuccess) return error;
  *graph = made.release();
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* runnable, cudaGraph_t graph, unsigned long long flags) {
  if (flags != 0) return refuse(cudaErrorNotSupported, "cudaGraphInstantiate: no flag is emulated");
  const ApiCall call(Api::graph_instantiate);
  *runnable = new CUgraphExec_st{replay_of(graph)};
  return cudaSuccess;
}
cudaError_t cudaGraphExecUpdate(cudaGraphExec_t runnable, cudaGraph_t graph, cudaGraphExecUpdateResultInfo* result) {
  const auto alike = [](const Node& a, const Node& b) { return a.kind == b.kind && a.before == b.before; };
  const std::vector<Node>& nodes = runnable->replay->nodes;
  const bool same = std::equal(nodes.begin(), nodes.end(), graph->nodes.begin(), graph->nodes.end(), alike);
  *result = {};
  result->result = same ? cudaGraphExecUpdateSuccess : cudaGraphExecUpdateErrorTopologyChanged;
  if (!same) return refuse(cudaErrorGraphExecUpdateFailure, "the graph has other nodes than what is updated");
  runnable->replay = replay_of(graph);
  return cudaSuccess;
}
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, std::size_t* count) {
  if (nodes != nullptr) return refuse(cudaErrorNotSupported, "cudaGraphGetNodes: only their number is emulated");
  *count = graph->nodes.size();
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t runnable, cudaStream_t stream) {
  const ApiCall call(Api::graph_launch);
  if (Simulation* const card = simulation(); card != nullptr)
    card->launched(stream, runnable->replay->times, runnable->replay->number, call.correlation());
  return push(stream, "graph", [replay = runnable->replay] {
    for (std::size_t i = 0; i < replay->nodes.size(); ++i)
      replay->nodes[options().eager ? i : replay->other_order[i]].work();
  });
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t runnable) {
  delete runnable;
  return cudaSuccess;
}
}
