// The clock of a simulated card: every stream is a timeline, and so is the host beside it. Work takes the time that the card's roofline gives
// the operation it belongs to, shared among its launches by their threads; copies between host and card take the link's time, other copies
// and sets the memory's. A call costs the host `issue_ns`, a graph's launch `graph_launch_ns`, whatever the graph holds: assumptions, of no
// measured machine. Streams do not slow each other.
//     Simulation& card = simulate(described);  ...;  stop_simulating();
// Times are settled when work is issued, before it runs: in the lazy stand-in it may run much later, or, where nothing is computed, never.
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "model/cuda/machine.h"
#include "model/program/simulated_card.h"

namespace stepscope::host_simt {

constexpr std::int64_t issue_ns = 4'000, graph_launch_ns = 10'000, call_ns = 1'000;
constexpr double stray_kernel_ns = 2'000;  // of a kernel that belongs to no operation

enum class Api {
  malloc,
  free,
  malloc_host,
  free_host,
  malloc_async,
  free_async,
  copy,
  copy_async,
  set_async,
  launch,
  library_launch,  // by a library, through the driver
  graph_launch,
  graph_instantiate,
  stream_synchronize,
  event_synchronize,
  device_synchronize,
  event_record,
  stream_wait
};

// What is known of a piece of work when it is issued.
struct Described {
  enum class Kind { nothing, kernel, copy, set } kind = Kind::nothing;  // nothing: takes no time of the card
  const void* function = nullptr;
  const char* name = nullptr;  // of a library's kernel, in place of the function
  dim3 grid = {}, block = {};
  std::size_t shared_bytes = 0, bytes = 0;
  cudaMemcpyKind direction = cudaMemcpyDefault;
  unsigned value = 0;
  bool pinned = false;
  double threads = 1;  // its weight in its operation

  [[nodiscard]] bool crosses_link() const {
    return kind == Kind::copy && (direction == cudaMemcpyHostToDevice || direction == cudaMemcpyDeviceToHost);
  }
};
[[nodiscard]] Described described_kernel(const void* function, dim3 grid, dim3 block, std::size_t shared_bytes);
[[nodiscard]] Described described_copy(std::size_t bytes, cudaMemcpyKind direction, bool pinned);
[[nodiscard]] Described described_set(std::size_t bytes, int value);

struct Share {  // of an operation's time, for work that is captured
  std::int64_t occurrence = 0;  // 0: of no operation
  double operation_ns = 0;
};

struct GraphNodeTime {
  Described work;
  Share share = {};
  cudaStream_t stream = nullptr;
  std::map<cudaStream_t, std::size_t> before = {};  // how much of each stream's work comes first
  std::uint64_t id = 0;
  std::int64_t duration_ns = 0;
};

// Where and when a piece of work ran.
struct Placed {
  std::int64_t start_ns = 0, end_ns = 0;
  std::uint32_t stream = 0, correlation = 0;
  std::uint64_t graph_node = 0;
  std::uint32_t graph = 0;
};

class Simulation final : public SimulatedCard {
 public:
  explicit Simulation(const CardToSimulate& card);

  [[nodiscard]] const std::string& device() const override { return card_.device; }
  [[nodiscard]] std::string description() const override;
  [[nodiscard]] bool computes() const override { return card_.computes; }
  void operation_begins(const Program& program, const Operation& operation, int micro_step) override;
  void operation_ends() override;
  [[nodiscard]] std::int64_t now_ns() const override { return host_ns_; }

  [[nodiscard]] const CardToSimulate& card() const { return card_; }

  // Of the runtime.
  void issued(cudaStream_t stream, const Described& work, std::uint32_t correlation);
  [[nodiscard]] Share share() const { return {occurrence_, operation_ns_}; }
  void settle_graph(std::vector<GraphNodeTime>& nodes) const;  // gives each its duration
  void launched(cudaStream_t stream, const std::vector<GraphNodeTime>& nodes, std::uint32_t graph,
                std::uint32_t correlation);
  [[nodiscard]] std::int64_t end_of(cudaStream_t stream);  // of all that was issued to it
  [[nodiscard]] std::int64_t end_of_all();
  void stream_waits(cudaStream_t stream, std::int64_t until_ns);
  void host_waits(std::int64_t until_ns) { host_ns_ = std::max(host_ns_, until_ns); }
  void host_passes(std::int64_t ns) { host_ns_ += ns; }
  void copied_now(const Described& work, std::uint32_t correlation);  // by the host, which waits for it
  void forget(cudaStream_t stream);

 private:
  struct Pending {  // of the operation that is being issued: its launches are not counted yet
    cudaStream_t stream;
    Described work;
    std::int64_t issued_ns;
    std::uint32_t correlation;
  };
  void settle();
  void place(const Pending& one, std::int64_t duration_ns);
  [[nodiscard]] double own_ns(const Described& work) const;
  [[nodiscard]] std::uint32_t number_of(cudaStream_t stream);

  CardToSimulate card_;
  std::int64_t host_ns_ = 1'000'000'000;  // 0 is no time for CUPTI
  std::map<cudaStream_t, std::int64_t> free_ns_;
  std::map<cudaStream_t, std::uint32_t> numbers_;
  std::uint32_t streams_ = 7;  // the next number; CUDA's own come first
  std::vector<Pending> pending_;
  std::int64_t occurrence_ = 0, occurrences_ = 0;
  double operation_ns_ = 0;
};

Simulation& simulate(const CardToSimulate& card);  // from now on, also for memory and properties
void stop_simulating();
[[nodiscard]] Simulation* simulation();  // null: nothing is simulated

// A call of CUDA's interface, while it lasts: it costs the host time, and is a record where a profiler asks for such.
class ApiCall {
 public:
  explicit ApiCall(Api api);
  ~ApiCall();
  ApiCall(const ApiCall&) = delete;
  ApiCall& operator=(const ApiCall&) = delete;
  [[nodiscard]] std::uint32_t correlation() const { return correlation_; }
  [[nodiscard]] static std::uint32_t current();  // of the innermost call

 private:
  Api api_;
  std::uint32_t correlation_ = 0, outer_ = 0;
  std::int64_t start_ns_ = 0;
};

[[nodiscard]] const char* name_of_function(const void* function);  // as the linker has it; "kernel" where it has none

// To whoever profiles (cupti.cpp).
void record_work(const Described& work, const Placed& placed);
void record_call(Api api, std::int64_t start_ns, std::int64_t end_ns, std::uint32_t correlation);
void record_memory(bool allocated, bool asynchronous, const void* at, std::size_t bytes);
void record_pinned(bool allocated, const void* at, std::size_t bytes);
void tell_node_created(cudaGraph_t graph, cudaGraphNode_t node, const Described& work);
void tell_node_cloned(cudaGraph_t graph, cudaGraphNode_t node, cudaGraphNode_t original, const Described& work);

}  // namespace stepscope::host_simt

struct CUgraphNode_st {
  std::uint64_t id = 0;
};
