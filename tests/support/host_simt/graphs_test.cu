// Graphs, events and memory of streams in the stand-in: what is refused, and what an update or a release leaves as it was.
#include <gtest/gtest.h>

#include <vector>

#include "model/cuda/device.cuh"
#include "model/cuda/handles.cuh"
#include "tests/support/host_simt/runtime.cuh"
#include "tests/support/host_simt/scheduler.cuh"
#include "tests/support/on_card.cuh"

namespace stepscope::testing {

using host_simt::last_message;
using host_simt::take_error;

namespace {

__global__ void add_number_kernel(int* x, int number) { x[threadIdx.x] += number; }

using Graph = CudaHandle<cudaGraph_t, cudaGraphDestroy>;
using Runnable = CudaHandle<cudaGraphExec_t, cudaGraphExecDestroy>;

template <class Issue>
Graph capture(const Stream& stream, Issue&& issue) {
  STEPSCOPE_CUDA(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal));
  issue();
  cudaGraph_t graph = nullptr;
  STEPSCOPE_CUDA(cudaStreamEndCapture(stream.get(), &graph));
  return Graph(graph);
}
Runnable instantiate(const Graph& graph) {
  cudaGraphExec_t runnable = nullptr;
  STEPSCOPE_CUDA(cudaGraphInstantiate(&runnable, graph.get(), 0));
  return Runnable(runnable);
}

}  // namespace

class HostSimtGraphs : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!is_host_simt) GTEST_SKIP() << "of the stand-in alone";
  }
  void TearDown() override {
    host_simt::options() = {};
    (void)take_error();
  }
  void add(const Stream& to, int number) { launch(add_number_kernel, 1, 32, 0, to.get(), x.at(), number); }
  void expect_refused(cudaError_t error, cudaError_t expected, const char* why) {
    EXPECT_EQ(error, expected);
    EXPECT_NE(last_message().find(why), std::string::npos) << last_message();
  }
  Stream stream, other;
  OnCard<int> x{stream, std::vector<int>(32, 0)};
};

TEST_F(HostSimtGraphs, an_update_changes_launches_after_it_and_none_before) {
  for (const bool eager : {false, true}) {
    host_simt::options().eager = eager;
    const int before = x.read()[0];
    const Runnable runnable = instantiate(capture(stream, [&] { add(stream, 1); }));
    STEPSCOPE_CUDA(cudaGraphLaunch(runnable.get(), stream.get()));
    const Graph changed = capture(stream, [&] { add(stream, 10); });
    cudaGraphExecUpdateResultInfo result{};
    STEPSCOPE_CUDA(cudaGraphExecUpdate(runnable.get(), changed.get(), &result));
    EXPECT_EQ(result.result, cudaGraphExecUpdateSuccess);
    STEPSCOPE_CUDA(cudaGraphLaunch(runnable.get(), stream.get()));
    EXPECT_EQ(x.read()[0], before + 11);
  }
}

TEST_F(HostSimtGraphs, an_update_to_other_nodes_is_refused_and_leaves_the_graph_as_it_was) {
  const Runnable runnable = instantiate(capture(stream, [&] { add(stream, 1); }));
  const Graph longer = capture(stream, [&] { add(stream, 10), add(stream, 10); });
  const Graph of_another_kind =
      capture(stream, [&] { STEPSCOPE_CUDA(cudaMemsetAsync(x.at(), 0, 32 * sizeof(int), stream.get())); });
  for (const Graph* graph : {&longer, &of_another_kind}) {
    cudaGraphExecUpdateResultInfo result{};
    expect_refused(cudaGraphExecUpdate(runnable.get(), graph->get(), &result), cudaErrorGraphExecUpdateFailure,
                   "other nodes");
    EXPECT_EQ(result.result, cudaGraphExecUpdateErrorTopologyChanged);
  }
  STEPSCOPE_CUDA(cudaGraphLaunch(runnable.get(), stream.get()));
  EXPECT_EQ(x.read()[0], 1);
}

TEST_F(HostSimtGraphs, a_launch_outlives_the_graph_it_is_of) {
  {
    const Runnable runnable = instantiate(capture(stream, [&] { add(stream, 1); }));
    STEPSCOPE_CUDA(cudaGraphLaunch(runnable.get(), stream.get()));
  }
  EXPECT_EQ(x.read()[0], 1);
}

TEST_F(HostSimtGraphs, an_event_of_a_capture_joins_streams_to_it_and_means_nothing_after_it) {
  const StreamMark fork(true), join;
  const Graph graph = capture(stream, [&] {
    add(stream, 1);
    fork.record(stream.get());
    other.wait_for(fork);
    add(other, 2);
    join.record(other.get());
    stream.wait_for(join);
    add(stream, 4);
  });
  expect_refused(cudaStreamWaitEvent(other.get(), fork.get(), 0), cudaErrorCapturedEvent, "has ended");
  expect_refused(cudaEventSynchronize(fork.get()), cudaErrorCapturedEvent, "in a capture");
  float milliseconds = 0;
  expect_refused(cudaEventElapsedTime(&milliseconds, fork.get(), fork.get()), cudaErrorCapturedEvent, "in a capture");
  add(other, 100);  // the other stream is itself again
  other.synchronise();
  EXPECT_EQ(x.read()[0], 100);
  const Runnable runnable = instantiate(graph);
  STEPSCOPE_CUDA(cudaGraphLaunch(runnable.get(), stream.get()));
  EXPECT_EQ(x.read()[0], 107);
}

TEST_F(HostSimtGraphs, a_capture_neither_waits_for_what_is_outside_nor_loses_a_stream) {
  const StreamMark outside;
  outside.record(other.get());
  STEPSCOPE_CUDA(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal));
  expect_refused(cudaStreamWaitEvent(stream.get(), outside.get(), 0), cudaErrorStreamCaptureIsolation, "from outside");
  cudaGraph_t graph = nullptr;
  expect_refused(cudaStreamEndCapture(stream.get(), &graph), cudaErrorStreamCaptureInvalidated, "from outside");
  STEPSCOPE_CUDA(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal));
  expect_refused(cudaStreamDestroy(stream.get()), cudaErrorStreamCaptureUnsupported, "capturing");
  EXPECT_NE(cudaStreamEndCapture(stream.get(), &graph), cudaSuccess);
}

TEST_F(HostSimtGraphs, what_no_flag_of_is_emulated_is_refused) {
  const Graph graph = capture(stream, [&] { add(stream, 1); });
  cudaGraphExec_t runnable = nullptr;
  expect_refused(cudaGraphInstantiate(&runnable, graph.get(), cudaGraphInstantiateFlagUseNodePriority),
                 cudaErrorNotSupported, "flag");
  cudaEvent_t event = nullptr;
  expect_refused(cudaEventCreateWithFlags(&event, cudaEventInterprocess | cudaEventDisableTiming),
                 cudaErrorNotSupported, "flag");
  const StreamMark mark;
  mark.record(other.get());
  expect_refused(cudaStreamWaitEvent(stream.get(), mark.get(), cudaEventWaitExternal), cudaErrorNotSupported, "flag");
}

TEST_F(HostSimtGraphs, memory_that_a_stream_is_to_release_is_neither_released_again_nor_used) {
  void* at = nullptr;
  STEPSCOPE_CUDA(cudaMallocAsync(&at, 128, stream.get()));
  STEPSCOPE_CUDA(cudaFreeAsync(at, stream.get()));
  expect_refused(cudaFreeAsync(at, stream.get()), cudaErrorInvalidValue, "lives");
  expect_refused(cudaMemsetAsync(at, 0, 128, other.get()), cudaErrorInvalidValue, "allocation");
  expect_refused(cudaMallocAsync(&at, 0, stream.get()), cudaErrorInvalidValue, "no bytes");
  STEPSCOPE_CUDA(cudaMallocAsync(&at, 64, stream.get()));
  STEPSCOPE_CUDA(cudaFree(at));  // of a stream's memory: waits for all
  expect_refused(cudaFree(at), cudaErrorInvalidValue, "lives");
}

}  // namespace stepscope::testing
