// Lays pieces of a workspace one behind the other, each 256-byte aligned.
//     WorkspaceLayout layout;
//     const std::int64_t scores = layout.place(rows * columns * 4);     // bytes from the start
//     workspace_bytes = layout.total_bytes();
#pragma once

#include <cstddef>
#include <cstdint>

#include "model/base/dtype.h"

namespace stepscope {

class WorkspaceLayout {
 public:
  [[nodiscard]] std::int64_t place(std::int64_t bytes) {
    const std::int64_t begin = end_;
    end_ = round_up(end_ + bytes, alignment_bytes);
    return begin;
  }
  template <class T>
  [[nodiscard]] std::int64_t place_elements(std::int64_t elements) {
    return place(elements * static_cast<std::int64_t>(sizeof(T)));
  }
  [[nodiscard]] std::int64_t total_bytes() const { return end_; }

 private:
  static constexpr std::int64_t alignment_bytes = 256;
  std::int64_t end_ = 0;
};

template <class T>
[[nodiscard]] T* piece(std::byte* workspace, std::int64_t begin_bytes) {
  return reinterpret_cast<T*>(workspace + begin_bytes);
}

}  // namespace stepscope
