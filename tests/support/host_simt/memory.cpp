// Memory and copies of the stand-in for the CUDA runtime.
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include "tests/support/host_simt/device.cuh"
#include "tests/support/host_simt/runtime_parts.cuh"

extern "C" {
[[gnu::weak]] void __asan_poison_memory_region(const volatile void*, std::size_t);
[[gnu::weak]] void __asan_unpoison_memory_region(const volatile void*, std::size_t);
}

namespace stepscope::host_simt {

namespace {

constexpr std::size_t page_bytes = 4096;
constexpr std::size_t room_for_bytes = std::size_t{1} << 38, room_for_addresses = std::size_t{1} << 40;
constexpr unsigned char poison = 0xFF;

struct Allocation {
  std::size_t bytes;
  bool pending = false;  // of cudaMallocAsync, until its stream comes to it
  bool leaving = false;  // after cudaFreeAsync, until its stream comes to it
};
using Allocations = std::map<const std::byte*, Allocation>;

struct Memory {
  std::byte *begin = nullptr, *next = nullptr;  // addresses are never used twice
  std::size_t reserved = 0;
  Allocations device, pinned;
  int depth = 0;  // of OnDevice
};
Memory& memory() {
  static Memory one;
  return one;
}

std::size_t whole_pages(std::size_t bytes) { return (bytes + page_bytes - 1) / page_bytes * page_bytes; }

void protect(const std::byte* at, std::size_t bytes, bool open) {
  if (!touches_memory()) return;  // addresses alone
  if (mprotect(const_cast<std::byte*>(at), whole_pages(bytes), open ? PROT_READ | PROT_WRITE : PROT_NONE) != 0)
    throw std::runtime_error("host SIMT: mprotect failed");
}

bool is_device(const void* at) {
  const Memory& m = memory();
  return m.begin != nullptr && at >= m.begin && at < m.begin + m.reserved;
}

bool may_be_freed(const void* at) {
  const auto found = memory().device.find(static_cast<const std::byte*>(at));
  return found != memory().device.end() && !found->second.leaving;
}

// What is issued after cudaFreeAsync may not name that memory, whichever stream it goes to.
bool inside(const Allocations& allocations, const void* at, std::size_t bytes) {
  const auto* first = static_cast<const std::byte*>(at);
  auto found = allocations.upper_bound(first);
  if (found == allocations.begin()) return false;
  --found;
  return !found->second.leaving && first + bytes <= found->first + found->second.bytes;
}

std::byte* allocate(std::size_t bytes, bool pending) {
  Memory& m = memory();
  if (m.begin == nullptr) {
    m.reserved = touches_memory() ? room_for_bytes : room_for_addresses;
    void* const mapped = mmap(nullptr, m.reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) throw std::runtime_error("host SIMT: no addresses for device memory");
    m.begin = m.next = static_cast<std::byte*>(mapped);
  }
  std::byte* const at = m.next;
  m.next += whole_pages(bytes) + page_bytes;  // a page that nobody may touch after each
  protect(at, bytes, true);
  if (touches_memory()) std::memset(at, poison, whole_pages(bytes));
  if (__asan_poison_memory_region != nullptr) __asan_poison_memory_region(at + bytes, whole_pages(bytes) - bytes);
  if (m.depth == 0 || pending) protect(at, bytes, false);
  m.device[at] = {bytes, pending, false};
  RuntimeCounts& c = mutable_counts();
  ++c.allocations;
  c.live_bytes += bytes;
  c.peak_bytes = std::max(c.peak_bytes, c.live_bytes);
  return at;
}

void release(const std::byte* at) {
  Memory& m = memory();
  const auto found = m.device.find(at);
  const std::size_t bytes = found->second.bytes;
  protect(at, bytes, true);
  if (__asan_unpoison_memory_region != nullptr) __asan_unpoison_memory_region(at + bytes, whole_pages(bytes) - bytes);
  if (touches_memory()) madvise(const_cast<std::byte*>(at), whole_pages(bytes), MADV_DONTNEED);
  protect(at, bytes, false);
  mutable_counts().live_bytes -= bytes;
  m.device.erase(found);
}

// Memory of the device, or of the host, for one copy: opening all of it, as OnDevice does, takes a call for each allocation.
class Opened {
 public:
  explicit Opened(const void* at) {
    if (!is_device(at) || memory().depth > 0) return;
    const auto found = std::prev(memory().device.upper_bound(static_cast<const std::byte*>(at)));
    if (found->second.pending) return;
    first_ = found->first, bytes_ = found->second.bytes;
    protect(first_, bytes_, true);
  }
  ~Opened() {
    if (first_ != nullptr) protect(first_, bytes_, false);
  }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;

 private:
  const std::byte* first_ = nullptr;
  std::size_t bytes_ = 0;
};

// From memory without bytes come zeros.
void copy_bytes(void* to, const void* from, std::size_t bytes) {
  if (touches_memory()) {
    const Opened target(to), source(from);
    std::memmove(to, from, bytes);
  } else if (!is_device(to)) {
    std::memset(to, 0, bytes);
  }
}

cudaError_t check_end(const void* at, std::size_t bytes, bool device, bool asynchronous) {
  if (is_device(at) != device) return refuse(cudaErrorInvalidValue, "copy: an address does not match the kind");
  if (device && !inside(memory().device, at, bytes))
    return refuse(cudaErrorInvalidValue, "copy: leaves its allocation, or that was freed");
  if (!device && asynchronous && !inside(memory().pinned, at, bytes))
    return refuse(cudaErrorInvalidValue, "copy: asynchronous, but the host's memory is not pinned");
  return cudaSuccess;
}

cudaError_t check_copy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, bool asynchronous) {
  if (kind == cudaMemcpyDefault) return refuse(cudaErrorInvalidMemcpyDirection, "copy: say which way");
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (const cudaError_t error = check_end(to, bytes, to_device, asynchronous); error != cudaSuccess) return error;
  return check_end(from, bytes, from_device, asynchronous);
}

}  // namespace

OnDevice::OnDevice() {
  if (memory().depth++ == 0)
    for (const auto& [at, allocation] : memory().device)
      if (!allocation.pending) protect(at, allocation.bytes, true);
}
OnDevice::~OnDevice() {
  if (--memory().depth == 0)
    for (const auto& [at, allocation] : memory().device) protect(at, allocation.bytes, false);
}

std::size_t written_past_its_end() {
  std::size_t found = 0;
  if (!touches_memory()) return found;
  for (const auto& [at, allocation] : memory().device) {
    if (allocation.pending) continue;
    auto* const bytes = reinterpret_cast<unsigned char*>(const_cast<std::byte*>(at));
    const std::size_t whole = whole_pages(allocation.bytes);
    for (std::size_t i = allocation.bytes; i < whole; ++i) {
      if (bytes[i] == poison) continue;
      bytes[i] = poison;
      found = allocation.bytes;
    }
  }
  return found;
}

std::size_t device_bytes() {
  return simulation() == nullptr ? options().memory_bytes
                                 : static_cast<std::size_t>(simulation()->card().card.memory_bytes);
}
std::size_t free_device_bytes() {
  const std::size_t context =
      simulation() == nullptr ? 0 : static_cast<std::size_t>(simulation()->card().card.context_bytes);
  return device_bytes() - std::min(device_bytes(), context + counts().live_bytes);
}

bool in_device_memory(const void* at, std::size_t bytes) { return inside(memory().device, at, bytes); }

// Addresses of user space lie between these; what looks like one and is no number of the device's must not be mapped.
void check_argument(const void* argument, std::size_t bytes, int position) {
  for (std::size_t i = 0; i + sizeof(std::uintptr_t) <= bytes; i += sizeof(std::uintptr_t)) {
    std::uintptr_t word = 0;
    std::memcpy(&word, static_cast<const std::byte*>(argument) + i, sizeof(word));
    if (word >> 40 == 0 || word >> 47 != 0) continue;
    auto* const at = reinterpret_cast<void*>(word);
    unsigned char resident = 0;
    if (is_device(at)) {
      if (!inside(memory().device, at, 0))
        throw std::runtime_error("launch: argument " + std::to_string(position) +
                                 " points to freed or no device memory");
    } else if (mincore(reinterpret_cast<void*>(word / page_bytes * page_bytes), 1, &resident) == 0) {
      throw std::runtime_error("launch: argument " + std::to_string(position) + " points to host memory");
    }
  }
}

}  // namespace stepscope::host_simt

using namespace stepscope::host_simt;

extern "C" {

cudaError_t cudaMalloc(void** at, std::size_t bytes) {
  if (const cudaError_t error = unless_capturing("cudaMalloc"); error != cudaSuccess) return error;
  if (bytes == 0) return refuse(cudaErrorInvalidValue, "cudaMalloc of no bytes");
  const ApiCall call(Api::malloc);
  if (bytes > free_device_bytes()) return refuse(cudaErrorMemoryAllocation, "out of memory");
  *at = allocate(bytes, false);
  record_memory(true, false, *at, bytes);
  return cudaSuccess;
}

cudaError_t cudaFree(void* at) {
  if (at == nullptr) return cudaSuccess;
  const ApiCall call(Api::free);
  if (Simulation* const card = simulation(); card != nullptr) card->host_waits(card->end_of_all());
  if (const cudaError_t error = drain_all(); error != cudaSuccess) return error;
  const auto* first = static_cast<const std::byte*>(at);
  if (!may_be_freed(at)) return refuse(cudaErrorInvalidValue, "cudaFree: not the start of an allocation that lives");
  record_memory(false, false, first, memory().device.at(first).bytes);
  release(first);
  return cudaSuccess;
}

cudaError_t cudaMallocAsync(void** at, std::size_t bytes, cudaStream_t stream) {
  if (const cudaError_t error = unless_capturing("cudaMallocAsync"); error != cudaSuccess) return error;
  if (bytes == 0) return refuse(cudaErrorInvalidValue, "cudaMallocAsync of no bytes");
  const ApiCall call(Api::malloc_async);
  const std::byte* const first = allocate(bytes, true);
  record_memory(true, true, first, bytes);
  *at = const_cast<std::byte*>(first);
  return push(stream, "allocate", [first] {
    Allocation& allocation = memory().device.at(first);
    allocation.pending = false;
    protect(first, allocation.bytes, true);
  });
}

cudaError_t cudaFreeAsync(void* at, cudaStream_t stream) {
  if (const cudaError_t error = unless_capturing("cudaFreeAsync"); error != cudaSuccess) return error;
  const auto* first = static_cast<const std::byte*>(at);
  if (!may_be_freed(at))
    return refuse(cudaErrorInvalidValue, "cudaFreeAsync: not the start of an allocation that lives");
  const ApiCall call(Api::free_async);
  record_memory(false, true, first, memory().device.at(first).bytes);
  memory().device.at(first).leaving = true;
  return push(stream, "free", [first] { release(first); });
}

cudaError_t cudaMallocHost(void** at, std::size_t bytes) {
  if (const cudaError_t error = unless_capturing("cudaMallocHost"); error != cudaSuccess) return error;
  const ApiCall call(Api::malloc_host);
  *at = std::malloc(bytes);
  std::memset(*at, poison, bytes);
  memory().pinned[static_cast<std::byte*>(*at)] = {bytes, false, false};
  record_pinned(true, *at, bytes);
  return cudaSuccess;
}

cudaError_t cudaFreeHost(void* at) {
  if (const cudaError_t error = drain_all(); error != cudaSuccess) return error;
  const ApiCall call(Api::free_host);
  const auto found = memory().pinned.find(static_cast<std::byte*>(at));
  if (at != nullptr && found == memory().pinned.end())
    return refuse(cudaErrorInvalidValue, "cudaFreeHost: not pinned memory");
  if (at != nullptr) {
    record_pinned(false, at, found->second.bytes);
    memory().pinned.erase(found);
  }
  std::free(at);
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(std::size_t* free_bytes, std::size_t* total_bytes) {
  *total_bytes = device_bytes();
  *free_bytes = free_device_bytes();
  return cudaSuccess;
}

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  if (const cudaError_t error = unless_capturing("cudaMemcpy"); error != cudaSuccess) return error;
  if (const cudaError_t error = check_copy(to, from, bytes, kind, false); error != cudaSuccess) return error;
  const ApiCall call(Api::copy);
  if (const cudaError_t error = drain_blocking_streams(); error != cudaSuccess) return error;
  if (Simulation* const card = simulation(); card != nullptr)
    card->copied_now(described_copy(bytes, kind, false), call.correlation());
  copy_bytes(to, from, bytes);
  ++mutable_counts().copies;
  return sticky_error();
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  if (const cudaError_t error = check_copy(to, from, bytes, kind, true); error != cudaSuccess) return error;
  const ApiCall call(Api::copy_async);
  const auto work = [=] {
    std::memmove(to, from, bytes);
    ++mutable_counts().copies;
  };
  return push(stream, "copy", work, described_copy(bytes, kind, true));
}

cudaError_t cudaMemsetAsync(void* at, int value, std::size_t bytes, cudaStream_t stream) {
  if (!in_device_memory(at, bytes)) return refuse(cudaErrorInvalidValue, "cudaMemsetAsync: not inside one allocation");
  const ApiCall call(Api::set_async);
  const auto work = [=] {
    std::memset(at, value, bytes);
    ++mutable_counts().memsets;
  };
  return push(stream, "memset", work, described_set(bytes, value));
}
}
