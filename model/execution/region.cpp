#include "model/execution/region.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "model/base/dtype.h"

namespace stepscope {

namespace {
constexpr std::int64_t page_bytes = 4096;
constexpr std::int64_t huge_page_bytes = std::int64_t{2} << 20;

std::atomic<std::int64_t> cap_bytes = 0, held_bytes = 0;
}  // namespace

HeldBytes::HeldBytes(std::int64_t bytes) : bytes_(bytes) {
  const std::int64_t cap = cap_bytes, held = held_bytes += bytes;
  if (cap == 0 || held <= cap) return;
  held_bytes -= bytes;
  throw OutOfMemory(fmt::format("{} bytes more than the {} held are refused: the cap is {}", bytes, held - bytes, cap));
}
HeldBytes::HeldBytes(HeldBytes&& other) noexcept : bytes_(std::exchange(other.bytes_, 0)) {}
HeldBytes::~HeldBytes() { held_bytes -= bytes_; }

void cap_memory(std::int64_t bytes) { cap_bytes = bytes; }

// The region ends where its last page ends only if its size is a multiple of the page; a byte past a smaller one is
// still caught by the measurement of used bytes, a page past any by the guard.
Region::Region(std::int64_t bytes) : held_(bytes) {
  const std::int64_t usable = round_up(bytes, page_bytes);
  mapped_bytes_ = usable + huge_page_bytes + page_bytes;
  void* mapped = mmap(nullptr, static_cast<std::size_t>(mapped_bytes_), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) throw OutOfMemory(fmt::format("no memory for {} bytes: {}", bytes, std::strerror(errno)));
  mapped_ = static_cast<std::byte*>(mapped);
  base_ = mapped_ + (round_up(reinterpret_cast<std::int64_t>(mapped_), huge_page_bytes) -
                     reinterpret_cast<std::int64_t>(mapped_));
  madvise(base_, static_cast<std::size_t>(usable), MADV_HUGEPAGE);
  if (mprotect(base_ + usable, page_bytes, PROT_NONE) != 0)
    throw MachineError(fmt::format("no guard page: {}", std::strerror(errno)));
}

Region::Region(Region&& other) noexcept
    : held_(std::move(other.held_)),
      base_(std::exchange(other.base_, nullptr)),
      mapped_bytes_(std::exchange(other.mapped_bytes_, 0)),
      mapped_(std::exchange(other.mapped_, nullptr)) {}

Region::~Region() {
  if (mapped_ != nullptr) munmap(mapped_, static_cast<std::size_t>(mapped_bytes_));
}

}  // namespace stepscope
