// The memory of a step on a card, beside its arena: the states, and the batch that comes next.
#pragma once

#include <array>
#include <cstring>
#include <map>
#include <span>
#include <vector>

#include "model/cuda/handles.cuh"
#include "model/execution/used_bytes.h"
#include "model/program/memory_plan.h"

namespace stepscope {

// Where the states of a program lie: one allocation a kind on the card, and one in pinned memory for those of the host's, each state at a
// multiple of 256 bytes.
class CudaStates {
 public:
  explicit CudaStates(const Program& program) : addresses_(program.states.size()) {
    for (const StateAllocation& allocation : state_allocations(program)) {
      std::vector<std::int64_t> offsets;
      std::int64_t size = 0;
      for (const StateId id : allocation.states) {
        offsets.push_back(size);
        size += round_up(program.state(id).type.size_bytes(), arena_alignment_bytes);
      }
      const auto bytes = static_cast<std::size_t>(size);
      const bool on_host = allocation.memory == Memory::host;
      std::byte* base = on_host ? host_memory_.emplace_back(bytes).data() : memory_.emplace_back(bytes).data();
      for (std::size_t i = 0; i < offsets.size(); ++i)
        addresses_[static_cast<std::size_t>(allocation.states[i].index)] = base + offsets[i];
    }
  }
  [[nodiscard]] std::byte* at(StateId id) const { return addresses_[static_cast<std::size_t>(id.index)]; }
  [[nodiscard]] std::span<const DeviceMemory> allocations() const { return memory_; }
  [[nodiscard]] std::span<const PinnedMemory> host_allocations() const { return host_memory_; }

 private:
  std::vector<DeviceMemory> memory_;
  std::vector<PinnedMemory> host_memory_;
  std::vector<std::byte*> addresses_;  // by state
};

// Copies between the card and the host that run beside its work: a stream a direction, and where each is complete.
//     copies.begin(run, i, to_host, how);   ...   copies.await(i, stream);         // before what reads its result, or overwrites its operand
class HostCopies {
 public:
  explicit HostCopies(std::size_t copies) : complete_(copies) {}

  template <class Run>
  void begin(const Run& run, std::size_t copy, bool to_host, const Stream& compute) const {
    const Stream& link = to_host ? to_host_ : from_host_;
    issued_.record(compute.get());
    link.wait_for(issued_);
    run(link.get());
    complete_[copy].record(link.get());
  }
  void await(std::size_t copy, const Stream& compute) const { compute.wait_for(complete_[copy]); }

 private:
  Stream to_host_, from_host_;
  StreamMark issued_;
  std::vector<StreamMark> complete_;  // by copy
};

// Batches on their way to a card, on a stream of their own: from pinned memory, as soon as the running step has read its batch. Micro-steps
// alone read it, so the copy runs beside the update and takes no second place on the card.
//     copies.send(at, id, bytes);      copies.arrive(stream);  ...micro-steps...  copies.was_read(stream);  ...update...
class BatchCopies {
 public:
  explicit BatchCopies(const Stream& compute) {
    was_read(compute);
    there_.record(stream_.get());
  }

  // Returns when the bytes are in pinned memory: it waits for an earlier copy of the same state, never for the step.
  void send(std::byte* to, StateId id, std::span<const std::byte> bytes) {
    auto found = staged_.find(id.index);
    if (found == staged_.end()) {
      found = staged_.try_emplace(id.index, bytes.size()).first;
      found->second.sent.record(stream_.get());
    }
    const Staged& staged = found->second;
    staged.sent.synchronise();
    std::memcpy(staged.memory.data(), bytes.data(), bytes.size());
    stream_.wait_for(read_);
    STEPSCOPE_CUDA(cudaMemcpyAsync(to, staged.memory.data(), bytes.size(), cudaMemcpyHostToDevice, stream_.get()));
    staged.sent.record(stream_.get());
    there_.record(stream_.get());
  }
  void arrive(const Stream& compute) const { compute.wait_for(there_); }
  void was_read(const Stream& compute) const { read_.record(compute.get()); }
  void synchronise() const { stream_.synchronise(); }

 private:
  struct Staged {
    explicit Staged(std::size_t bytes) : memory(bytes) {}
    PinnedMemory memory;
    StreamMark sent;
  };
  Stream stream_;
  StreamMark read_, there_;
  std::map<int, Staged> staged_;  // by state
};

}  // namespace stepscope
