// What CUDA hands out, held by objects that give it back. All are movable; none allocates after it was made.
//     const Stream stream;                       const DeviceMemory arena(bytes);              // OutOfMemory where it cannot be had
//     mark.record(other.get());   stream.wait_for(mark);   stream.synchronise();
#pragma once

#include <cstddef>
#include <utility>

#include "model/cuda/check.cuh"

namespace stepscope {

// A handle that is given back once: Close is called on what is not null.
template <class T, auto Close>
class CudaHandle {
 public:
  CudaHandle() = default;
  explicit CudaHandle(T handle) : handle_(handle) {}
  ~CudaHandle() {
    if (handle_ != nullptr) STEPSCOPE_CUDA_NOTHROW(Close(handle_));
  }
  CudaHandle(CudaHandle&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  CudaHandle& operator=(CudaHandle&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  CudaHandle(const CudaHandle&) = delete;
  CudaHandle& operator=(const CudaHandle&) = delete;
  [[nodiscard]] T get() const { return handle_; }

 private:
  T handle_ = nullptr;
};

// A place in a stream, which others wait for; CUDA calls it an event.
class StreamMark {
 public:
  explicit StreamMark(bool timed = false) {
    cudaEvent_t event = nullptr;
    STEPSCOPE_CUDA(cudaEventCreateWithFlags(&event, timed ? cudaEventDefault : cudaEventDisableTiming));
    handle_ = CudaHandle<cudaEvent_t, cudaEventDestroy>(event);
  }
  void record(cudaStream_t stream) const { STEPSCOPE_CUDA(cudaEventRecord(handle_.get(), stream)); }
  void synchronise() const { STEPSCOPE_CUDA(cudaEventSynchronize(handle_.get())); }
  [[nodiscard]] double milliseconds_since(const StreamMark& begin) const {  // both reached, both timed
    float milliseconds = 0;
    STEPSCOPE_CUDA(cudaEventElapsedTime(&milliseconds, begin.handle_.get(), handle_.get()));
    return static_cast<double>(milliseconds);
  }
  [[nodiscard]] cudaEvent_t get() const { return handle_.get(); }

 private:
  CudaHandle<cudaEvent_t, cudaEventDestroy> handle_;
};

class Stream {
 public:
  Stream() {
    cudaStream_t stream = nullptr;
    STEPSCOPE_CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    handle_ = CudaHandle<cudaStream_t, cudaStreamDestroy>(stream);
  }
  void synchronise() const { STEPSCOPE_CUDA(cudaStreamSynchronize(handle_.get())); }
  void wait_for(const StreamMark& mark) const { STEPSCOPE_CUDA(cudaStreamWaitEvent(handle_.get(), mark.get(), 0)); }
  [[nodiscard]] cudaStream_t get() const { return handle_.get(); }

 private:
  CudaHandle<cudaStream_t, cudaStreamDestroy> handle_;
};

struct CardBytes {
  std::size_t free = 0, total = 0;
};
[[nodiscard]] inline CardBytes card_bytes() {
  CardBytes now;
  STEPSCOPE_CUDA(cudaMemGetInfo(&now.free, &now.total));
  return now;
}
[[nodiscard]] inline OutOfMemory no_room_on_card(std::size_t asked) {
  const CardBytes now = card_bytes();
  return OutOfMemory("the card has no room for " + std::to_string(asked) + " bytes: " + std::to_string(now.free) +
                     " of " + std::to_string(now.total) + " are free");
}

class DeviceMemory {  // the card's own, never managed: what does not fit is refused, not paged
 public:
  DeviceMemory() = default;
  explicit DeviceMemory(std::size_t bytes) : bytes_(bytes) {
    void* at = nullptr;
    const cudaError_t error = cudaMalloc(&at, bytes);
    if (error == cudaErrorMemoryAllocation) {
      (void)cudaGetLastError();  // is no error of later calls
      throw no_room_on_card(bytes);
    }
    check_cuda(error, {"cudaMalloc", __FILE__, __LINE__});
    handle_ = CudaHandle<void*, cudaFree>(at);
  }
  [[nodiscard]] std::byte* data() const { return static_cast<std::byte*>(handle_.get()); }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  std::size_t bytes_ = 0;
  CudaHandle<void*, cudaFree> handle_;
};

class PinnedMemory {  // of the host, for copies beside other work
 public:
  explicit PinnedMemory(std::size_t bytes) : bytes_(bytes) {
    void* at = nullptr;
    STEPSCOPE_CUDA(cudaMallocHost(&at, bytes));
    handle_ = CudaHandle<void*, cudaFreeHost>(at);
  }
  [[nodiscard]] std::byte* data() const { return static_cast<std::byte*>(handle_.get()); }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  std::size_t bytes_ = 0;
  CudaHandle<void*, cudaFreeHost> handle_;
};

// Work that is issued once and launched many times.
//     const CapturedWork work(stream, [&] { ... });   work.launch(stream);
class CapturedWork {
 public:
  template <class Issue>
  CapturedWork(const Stream& stream, Issue&& issue) {
    STEPSCOPE_CUDA(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal));
    cudaGraph_t captured = nullptr;
    try {
      issue();
    } catch (...) {
      (void)cudaStreamEndCapture(stream.get(), &captured);  // fails by itself where the capture broke
      if (captured != nullptr) STEPSCOPE_CUDA_NOTHROW(cudaGraphDestroy(captured));
      throw;
    }
    STEPSCOPE_CUDA(cudaStreamEndCapture(stream.get(), &captured));
    const CudaHandle<cudaGraph_t, cudaGraphDestroy> graph(captured);
    STEPSCOPE_CUDA(cudaGraphGetNodes(graph.get(), nullptr, &nodes_));
    cudaGraphExec_t runnable = nullptr;
    STEPSCOPE_CUDA(cudaGraphInstantiate(&runnable, graph.get(), 0));
    handle_ = CudaHandle<cudaGraphExec_t, cudaGraphExecDestroy>(runnable);
  }
  void launch(const Stream& stream) const { STEPSCOPE_CUDA(cudaGraphLaunch(handle_.get(), stream.get())); }
  [[nodiscard]] std::size_t nodes() const { return nodes_; }

 private:
  std::size_t nodes_ = 0;
  CudaHandle<cudaGraphExec_t, cudaGraphExecDestroy> handle_;
};

}  // namespace stepscope
