// A piece of memory of the executor: zeroed, page-aligned, followed by a page that nobody may touch.
#pragma once

#include <cstddef>
#include <cstdint>

namespace stepscope {

class Region {
 public:
  explicit Region(std::int64_t bytes);  // MachineError where it cannot be had
  ~Region();
  Region(Region&& other) noexcept;
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;
  Region& operator=(Region&&) = delete;

  [[nodiscard]] std::byte* base() const { return base_; }
  [[nodiscard]] std::int64_t bytes() const { return bytes_; }

 private:
  std::byte* base_ = nullptr;
  std::int64_t bytes_ = 0;
  std::int64_t mapped_bytes_ = 0;
  std::byte* mapped_ = nullptr;
};

}  // namespace stepscope
