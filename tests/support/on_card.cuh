// Numbers on a card and back, for tests that run on a card or on host SIMT.
//     const OnCard<float> x(stream, numbers);   OnCard<float> y(stream, numbers.size());   kernel(x.at(), y.at());   y.read()
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "model/cuda/handles.cuh"

namespace stepscope::testing {

#ifdef __CUDACC__
inline constexpr bool is_host_simt = false;
#else
inline constexpr bool is_host_simt = true;
#endif

template <class T>
class OnCard {
 public:
  OnCard(const Stream& stream, std::size_t count)
      : stream_(stream), count_(count), device_(count * sizeof(T)), host_(count * sizeof(T)) {}
  OnCard(const Stream& stream, const std::vector<T>& numbers) : OnCard(stream, numbers.size()) {
    std::memcpy(host_.data(), numbers.data(), host_.bytes());
    STEPSCOPE_CUDA(cudaMemcpyAsync(device_.data(), host_.data(), host_.bytes(), cudaMemcpyHostToDevice, stream.get()));
    stream.synchronise();
  }
  [[nodiscard]] T* at() const { return reinterpret_cast<T*>(device_.data()); }
  [[nodiscard]] std::vector<T> read() const {
    STEPSCOPE_CUDA(cudaMemcpyAsync(host_.data(), device_.data(), host_.bytes(), cudaMemcpyDeviceToHost, stream_.get()));
    stream_.synchronise();
    const T* first = reinterpret_cast<const T*>(host_.data());
    return {first, first + count_};
  }

 private:
  const Stream& stream_;
  std::size_t count_;
  DeviceMemory device_;
  PinnedMemory host_;
};

}  // namespace stepscope::testing
