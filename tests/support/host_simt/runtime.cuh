// A strict stand-in for the CUDA runtime, in tests only: the functions of cuda_runtime_api.h that this project calls, with the prototypes
// of the real header. What it is strict about:
//   streams   lazy: work runs when something waits for it, so that a missing wait reads poison; options().eager and others_first show the
//             opposite hazards
//   memory    device pages open only while device work runs; freed ones never again; new memory is 0xFF, which is no number; what is
//             written behind an allocation's end is seen when the work is done
//   copies    both ends are what the kind says and lie in one allocation that lives; asynchronous ones need pinned memory
//   capture   work goes to the graph; allocating, synchronising and querying is refused; streams that joined must have come back
//   replay    eager: as captured; lazy: another order that the captured dependencies allow
// What is not here does not link. The legacy default stream is refused.
//     const RuntimeCounts before = counts();  ...;  counts().live_bytes - before.live_bytes     // what the runtime itself has handed out
//     EXPECT_EQ(take_error(), cudaSuccess)                                                      // an error in a kernel stays until taken
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <functional>
#include <string>

namespace stepscope::host_simt {

struct RuntimeCounts {
  std::size_t live_bytes = 0, peak_bytes = 0;  // of device memory, as asked for
  std::size_t allocations = 0;  // so far
  std::size_t kernels = 0, copies = 0, memsets = 0;  // run so far
  std::size_t profiled_kernels = 0;  // of them those within cudaProfilerStart and cudaProfilerStop
};
[[nodiscard]] RuntimeCounts counts();

cudaError_t take_error();
[[nodiscard]] std::string last_message();  // why something was refused

// For stand-ins of libraries.
struct LibraryKernel {
  const char* name = "library";
  double threads = 1;  // that it would have: its weight in the time of its operation on a simulated card
};
cudaError_t enqueue(cudaStream_t stream, std::function<void()> work, const LibraryKernel& kernel = {});
void pass_time(double nanoseconds);  // events that are reached later see it, beside the host's own clock
[[nodiscard]] bool in_device_memory(const void* at, std::size_t bytes);  // inside one allocation that lives

}  // namespace stepscope::host_simt
