// A piece of memory of the executor: zeroed, page-aligned, followed by a page that nobody may touch.
//     cap_memory(6 << 30);   // what states and arenas may take together: beyond it the next one is refused, as by a full device
#pragma once

#include <cstddef>
#include <cstdint>

#include "model/base/error.h"

namespace stepscope {

void cap_memory(std::int64_t bytes);  // of this process; 0: no cap

class HeldBytes {  // counted against the cap for as long as it lives
 public:
  explicit HeldBytes(std::int64_t bytes);  // OutOfMemory beyond the cap
  ~HeldBytes();
  HeldBytes(HeldBytes&& other) noexcept;
  HeldBytes(const HeldBytes&) = delete;
  HeldBytes& operator=(const HeldBytes&) = delete;
  HeldBytes& operator=(HeldBytes&&) = delete;
  [[nodiscard]] std::int64_t bytes() const { return bytes_; }

 private:
  std::int64_t bytes_ = 0;
};

class Region {
 public:
  explicit Region(std::int64_t bytes);  // OutOfMemory where it cannot be had
  ~Region();
  Region(Region&& other) noexcept;
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;
  Region& operator=(Region&&) = delete;

  [[nodiscard]] std::byte* base() const { return base_; }
  [[nodiscard]] std::int64_t bytes() const { return held_.bytes(); }

 private:
  HeldBytes held_;
  std::byte* base_ = nullptr;
  std::int64_t mapped_bytes_ = 0;
  std::byte* mapped_ = nullptr;
};

}  // namespace stepscope
