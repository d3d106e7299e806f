// Between the stand-in for cuDNN, a library of its own that is loaded as the real one is, and the stand-in for CUDA's runtime.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <functional>

namespace stepscope::cudnn_stand_in {

struct Connection {
  cudaError_t (*enqueue)(cudaStream_t stream, std::function<void()> work);
  bool (*in_device_memory)(const void* at, std::size_t bytes);
};

// Of the library. Returns "", or why there is nothing to make descriptors with.
using Connect = const char*(const Connection*);
inline constexpr const char* connect_name = "stepscope_connect_cudnn_stand_in";

}  // namespace stepscope::cudnn_stand_in
