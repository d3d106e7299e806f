// The window that a program opens to a profiler: kernels that ran within it are counted. A second start, or a stop without one, is refused.
#include <cuda_profiler_api.h>

#include <optional>
#include <utility>

#include "tests/support/host_simt/runtime_parts.cuh"

namespace stepscope::host_simt {

static std::optional<std::size_t> kernels_at_start;

}  // namespace stepscope::host_simt

using namespace stepscope::host_simt;

extern "C" {

cudaError_t cudaProfilerStart() {
  if (kernels_at_start) return refuse(cudaErrorNotPermitted, "cudaProfilerStart: the window is open");
  kernels_at_start = counts().kernels;
  return cudaSuccess;
}

cudaError_t cudaProfilerStop() {
  if (!kernels_at_start) return refuse(cudaErrorNotPermitted, "cudaProfilerStop: no window is open");
  mutable_counts().profiled_kernels += counts().kernels - *std::exchange(kernels_at_start, std::nullopt);
  return cudaSuccess;
}
}
