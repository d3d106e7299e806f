#include "tests/support/host_simt/simulation.cuh"

#include <algorithm>
#include <cmath>
#include <utility>

#include "model/base/error.h"
#include "model/program/cost.h"

namespace stepscope::host_simt {

namespace {

constexpr double bytes_a_thread = 16;

std::unique_ptr<Simulation>& holder() {
  static std::unique_ptr<Simulation> one;
  return one;
}
std::uint32_t correlations = 0, innermost = 0;

std::int64_t whole(double ns) { return std::max<std::int64_t>(1, std::llround(ns)); }

}  // namespace

Described described_kernel(const void* function, dim3 grid, dim3 block, std::size_t shared_bytes) {
  const auto count = [](dim3 n) { return static_cast<double>(n.x) * n.y * n.z; };
  Described kernel{.kind = Described::Kind::kernel};
  kernel.function = function, kernel.grid = grid, kernel.block = block, kernel.shared_bytes = shared_bytes;
  kernel.threads = count(grid) * count(block);
  return kernel;
}

Described described_copy(std::size_t bytes, cudaMemcpyKind direction, bool pinned) {
  Described copy{.kind = Described::Kind::copy};
  copy.bytes = bytes, copy.direction = direction, copy.pinned = pinned;
  copy.threads = static_cast<double>(bytes) / bytes_a_thread;
  return copy;
}

Described described_set(std::size_t bytes, int value) {
  Described set{.kind = Described::Kind::set};
  set.bytes = bytes, set.value = static_cast<unsigned>(value);
  set.threads = static_cast<double>(bytes) / bytes_a_thread;
  return set;
}

Simulation::Simulation(const CardToSimulate& card) : card_(card) {
  if (card_.card.host_bandwidth <= 0)
    throw UsageError(card_.card.name +
                     ": host_bandwidth is missing: without it copies of a simulated card have no time");
}

std::string Simulation::description() const {
  return "simulated: kernels take the roofline of " + card_.card.name + ", a call costs the host an assumed " +
         std::to_string(issue_ns) + " ns, a graph's launch " + std::to_string(graph_launch_ns) + " ns" +
         (card_.computes ? "" : "; costed, nothing was computed");
}

void Simulation::operation_begins(const Program& program, const Operation& operation, int micro_step) {
  settle();
  occurrence_ = ++occurrences_;
  operation_ns_ = roofline_ns(program, operation, card_.card, micro_step);
}

void Simulation::operation_ends() {
  settle();
  occurrence_ = 0;
  operation_ns_ = 0;
}

double Simulation::own_ns(const Described& work) const {
  const auto bytes = static_cast<double>(work.bytes);
  switch (work.kind) {
    case Described::Kind::copy:
      return 1e9 * (work.crosses_link() ? bytes / card_.card.host_bandwidth : 2 * bytes / card_.card.bandwidth);
    case Described::Kind::set: return 1e9 * bytes / card_.card.bandwidth;
    default: return stray_kernel_ns;
  }
}

std::uint32_t Simulation::number_of(cudaStream_t stream) {
  const auto [found, added] = numbers_.try_emplace(stream, streams_);
  if (added) ++streams_;
  return found->second;
}

void Simulation::place(const Pending& one, std::int64_t duration_ns) {
  std::int64_t& free = free_ns_[one.stream];
  const std::int64_t start = std::max(free, one.issued_ns);
  free = start + duration_ns;
  record_work(one.work,
              {.start_ns = start, .end_ns = free, .stream = number_of(one.stream), .correlation = one.correlation});
}

void Simulation::settle() {
  double threads = 0;
  for (const Pending& one : pending_)
    if (!one.work.crosses_link()) threads += one.work.threads;
  for (const Pending& one : pending_)
    place(one, whole(one.work.crosses_link() ? own_ns(one.work) : operation_ns_ * one.work.threads / threads));
  pending_.clear();
}

void Simulation::issued(cudaStream_t stream, const Described& work, std::uint32_t correlation) {
  if (work.kind == Described::Kind::nothing) return;
  const Pending one{stream, work, host_ns_, correlation};
  if (occurrence_ > 0)
    pending_.push_back(one);
  else
    place(one, whole(own_ns(work)));
}

void Simulation::settle_graph(std::vector<GraphNodeTime>& nodes) const {
  std::map<std::int64_t, double> threads;
  for (const GraphNodeTime& node : nodes)
    if (!node.work.crosses_link()) threads[node.share.occurrence] += node.work.threads;
  for (GraphNodeTime& node : nodes) {
    const bool shares = node.share.occurrence > 0 && !node.work.crosses_link();
    node.duration_ns = whole(shares ? node.share.operation_ns * node.work.threads / threads[node.share.occurrence]
                                    : own_ns(node.work));
  }
}

void Simulation::launched(cudaStream_t stream, const std::vector<GraphNodeTime>& nodes, std::uint32_t graph,
                          std::uint32_t correlation) {
  settle();
  std::int64_t& free = free_ns_[stream];
  const std::int64_t begin = std::max(free, host_ns_);
  std::map<cudaStream_t, std::vector<std::int64_t>> ends;
  free = begin;
  for (const GraphNodeTime& node : nodes) {
    std::int64_t start = begin;
    for (const auto& [other, count] : node.before)
      if (count > 0) start = std::max(start, ends[other].at(count - 1));
    const std::int64_t end = start + node.duration_ns;
    ends[node.stream].push_back(end);
    free = std::max(free, end);
    record_work(node.work, {.start_ns = start,
                            .end_ns = end,
                            .stream = number_of(stream),
                            .correlation = correlation,
                            .graph_node = node.id,
                            .graph = graph});
  }
}

std::int64_t Simulation::end_of(cudaStream_t stream) {
  settle();
  return std::max(free_ns_[stream], host_ns_);
}

std::int64_t Simulation::end_of_all() {
  settle();
  std::int64_t end = host_ns_;
  for (const auto& [stream, free] : free_ns_) end = std::max(end, free);
  return end;
}

void Simulation::stream_waits(cudaStream_t stream, std::int64_t until_ns) {
  settle();
  free_ns_[stream] = std::max(free_ns_[stream], until_ns);
}

void Simulation::copied_now(const Described& work, std::uint32_t correlation) {
  settle();
  const std::int64_t start = host_ns_;
  host_ns_ += whole(own_ns(work));
  record_work(work, {.start_ns = start, .end_ns = host_ns_, .stream = streams_, .correlation = correlation});
}

void Simulation::forget(cudaStream_t stream) {
  settle();
  free_ns_.erase(stream);
  numbers_.erase(stream);
}

Simulation& simulate(const CardToSimulate& card) {
  holder() = std::make_unique<Simulation>(card);
  return *holder();
}
void stop_simulating() { holder().reset(); }
Simulation* simulation() { return holder().get(); }

ApiCall::ApiCall(Api api) : api_(api), correlation_(++correlations), outer_(std::exchange(innermost, correlation_)) {
  Simulation* const card = simulation();
  if (card == nullptr) return;
  start_ns_ = card->now_ns();
  const bool issues =
      api == Api::launch || api == Api::library_launch || api == Api::copy_async || api == Api::set_async;
  card->host_passes(api == Api::graph_launch ? graph_launch_ns : issues ? issue_ns : call_ns);
}

ApiCall::~ApiCall() {
  innermost = outer_;
  if (simulation() != nullptr) record_call(api_, start_ns_, simulation()->now_ns(), correlation_);
}

std::uint32_t ApiCall::current() { return innermost; }

}  // namespace stepscope::host_simt

// For --device simulated:CARD, in the place of model/cuda/no_simulated_card.cpp.
stepscope::Machine stepscope::simulated_card(const CardToSimulate& card) {
  host_simt::Simulation* running = host_simt::simulation();
  if (running == nullptr || running->device() != card.device) running = &host_simt::simulate(card);
  Machine machine = this_card(0);
  machine.simulation = running;
  machine.name = card.title + (card.computes ? ", simulated" : ", simulated and only costed");
  return machine;
}
