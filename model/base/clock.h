// Nanoseconds of a clock that only goes forward, from a beginning of its own.
#pragma once

#include <chrono>
#include <cstdint>

namespace stepscope {

[[nodiscard]] inline std::int64_t steady_ns() {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(since).count();
}

}  // namespace stepscope
