// What the files of the stand-in for the CUDA runtime share.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/support/host_simt/runtime.cuh"
#include "tests/support/host_simt/simulation.cuh"

namespace stepscope::host_simt {

using Work = std::function<void()>;
using Clock = std::map<cudaStream_t, std::size_t>;  // how many pieces of each stream's work come before

struct Node {  // of a graph
  cudaStream_t stream;
  std::string kind;  // "kernel", "copy", "memset", "library": what an update must not change
  Work work;
  Clock before;
  Described what;
  Share share;  // of a simulated card's operation
  std::shared_ptr<CUgraphNode_st> handle;
};

cudaError_t refuse(cudaError_t error, const std::string& why);
// Work without a description takes no time of a simulated card; what is described is not done at all where that computes nothing.
cudaError_t push(cudaStream_t stream, const char* kind, Work work, const Described& what = {});
cudaError_t unless_capturing(const char* call);  // refuses, and breaks the capture
cudaError_t drain_all();
cudaError_t drain_blocking_streams();
[[nodiscard]] cudaError_t sticky_error();
RuntimeCounts& mutable_counts();
[[nodiscard]] std::size_t device_bytes();  // of a simulated card: the card's, and free_ of them what its context leaves
[[nodiscard]] std::size_t free_device_bytes();
[[nodiscard]] inline bool touches_memory() { return simulation() == nullptr || simulation()->computes(); }

// Bytes of an allocation behind whose end work has written since this was last asked; 0: none. To be called on the device.
[[nodiscard]] std::size_t written_past_its_end();

class OnDevice {  // device memory can be touched only while one lives
 public:
  OnDevice();
  ~OnDevice();
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;
};

}  // namespace stepscope::host_simt
