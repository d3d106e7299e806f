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

// Where the states of a program lie on a card: one allocation a kind, each state at a multiple of 256 bytes.
class CudaStates {
 public:
  explicit CudaStates(const Program& program) : addresses_(program.states.size()) {
    for (const StateKind kind : {StateKind::parameter, StateKind::copy, StateKind::gradient, StateKind::moment,
                                 StateKind::batch, StateKind::control}) {
      std::vector<std::int64_t> offsets;
      std::int64_t size = 0;
      const std::vector<StateId> ids = program.states_of(kind);
      for (const StateId id : ids) {
        offsets.push_back(size);
        size += round_up(program.state(id).type.size_bytes(), arena_alignment_bytes);
      }
      if (size == 0) continue;
      memory_.emplace_back(static_cast<std::size_t>(size));
      for (std::size_t i = 0; i < ids.size(); ++i)
        addresses_[static_cast<std::size_t>(ids[i].index)] = memory_.back().data() + offsets[i];
    }
  }
  [[nodiscard]] std::byte* at(StateId id) const { return addresses_[static_cast<std::size_t>(id.index)]; }
  [[nodiscard]] std::span<const DeviceMemory> allocations() const { return memory_; }

 private:
  std::vector<DeviceMemory> memory_;
  std::vector<std::byte*> addresses_;  // by state
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
