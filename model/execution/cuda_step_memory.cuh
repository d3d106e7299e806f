// A step's memory on a card, poisoned and scanned by kernels: the bytes that it really touches (used_bytes.h).
#pragma once

#include "model/cuda/team.cuh"
#include "model/execution/cuda_memory.cuh"
#include "model/execution/used_bytes.h"

namespace stepscope {

inline constexpr unsigned scan_threads = 256;

// By one block: *past = 1 + the last of the bytes that is not the pattern, 0 where all are. From the end, where it mostly is.
static __global__ void last_other_byte_kernel(const unsigned char* bytes, std::int64_t count, unsigned char pattern,
                                              std::int64_t* past) {
  constexpr std::int64_t window = 4096;
  const BlockTeam team;
  std::int64_t found = 0;
  for (std::int64_t end = count; end > 0 && found == 0; end -= window) {
    const std::int64_t begin = end > window ? end - window : 0;
    found = team.reduce(
        end - begin, std::int64_t{0},
        [&](std::int64_t i) { return bytes[begin + i] == pattern ? std::int64_t{0} : begin + i + 1; },
        [](std::int64_t a, std::int64_t b) { return a > b ? a : b; });
  }
  if (threadIdx.x == 0) *past = found;
}

class CudaStepMemory final : public StepMemory {
 public:
  CudaStepMemory(const Stream& stream, std::byte* arena, std::byte* host_arena, const CudaStates& states)
      : stream_(stream), arena_(arena), host_arena_(host_arena), states_(states) {}
  [[nodiscard]] std::byte* arena(Memory memory) const override {
    return memory == Memory::device ? arena_ : host_arena_;
  }
  [[nodiscard]] std::byte* state(StateId id) const override { return states_.at(id); }
  [[nodiscard]] std::int64_t states_bytes(Memory where) const override {
    std::size_t sum = 0;
    if (where == Memory::device)
      for (const DeviceMemory& memory : states_.allocations()) sum += memory.bytes();
    else
      for (const PinnedMemory& memory : states_.host_allocations()) sum += memory.bytes();
    return static_cast<std::int64_t>(sum);
  }
  void fill(Memory where, std::byte* begin, std::int64_t bytes, std::byte pattern) override {
    if (where == Memory::host) {
      stream_.synchronise();
      std::memset(begin, static_cast<int>(pattern), static_cast<std::size_t>(bytes));
      return;
    }
    STEPSCOPE_CUDA(cudaMemsetAsync(begin, static_cast<int>(pattern), static_cast<std::size_t>(bytes), stream_.get()));
  }
  [[nodiscard]] std::int64_t touched(Memory where, const std::byte* begin, std::int64_t bytes,
                                     std::byte pattern) const override {
    if (where == Memory::host) {
      stream_.synchronise();
      while (bytes > 0 && begin[bytes - 1] == pattern) --bytes;
      return bytes;
    }
    launch(last_other_byte_kernel, 1, scan_threads, 0, stream_.get(), reinterpret_cast<const unsigned char*>(begin),
           bytes, static_cast<unsigned char>(pattern), reinterpret_cast<std::int64_t*>(past_.data()));
    stream_.synchronise();
    std::int64_t past = 0;
    STEPSCOPE_CUDA(cudaMemcpy(&past, past_.data(), sizeof(past), cudaMemcpyDeviceToHost));
    return past;
  }

 private:
  const Stream& stream_;
  std::byte *arena_, *host_arena_;
  const CudaStates& states_;
  DeviceMemory past_{sizeof(std::int64_t)};
};

}  // namespace stepscope
