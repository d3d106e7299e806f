// The element types of tensors, and shapes. fp64 exists for tests: every operation has a body in it.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace stepscope {

enum class DType : std::uint8_t { fp64, fp32, bf16, fp16, int32, u8 };

[[nodiscard]] constexpr int size_bytes(DType dtype) {
  switch (dtype) {
    case DType::fp64: return 8;
    case DType::fp32:
    case DType::int32: return 4;
    case DType::bf16:
    case DType::fp16: return 2;
    case DType::u8: return 1;
  }
  return 0;
}

[[nodiscard]] std::string_view name_of(DType dtype);
[[nodiscard]] std::optional<DType> dtype_named(std::string_view name);

// Row-major extents, at most four of them; the last one is the fastest. Rank 0 is a scalar of one element.
class Shape {
 public:
  static constexpr int max_rank = 4;

  constexpr Shape() = default;
  constexpr Shape(std::initializer_list<std::int64_t> extents) {
    for (const std::int64_t extent : extents) extents_[static_cast<std::size_t>(rank_++)] = extent;
  }

  [[nodiscard]] constexpr int rank() const { return rank_; }
  [[nodiscard]] constexpr std::int64_t operator[](int axis) const { return extents_[static_cast<std::size_t>(axis)]; }
  [[nodiscard]] constexpr std::int64_t last() const { return rank_ == 0 ? 1 : (*this)[rank_ - 1]; }
  [[nodiscard]] constexpr std::int64_t elements() const {
    std::int64_t product = 1;
    for (int axis = 0; axis < rank_; ++axis) product *= (*this)[axis];
    return product;
  }
  [[nodiscard]] constexpr std::int64_t rows() const {
    return last() == 0 ? 0 : elements() / last();
  }  // all axes but the last
  constexpr bool operator==(const Shape&) const = default;

 private:
  std::array<std::int64_t, max_rank> extents_{};
  int rank_ = 0;
};

[[nodiscard]] std::string to_string(const Shape& shape);  // "[64,512]"

[[nodiscard]] constexpr std::int64_t round_up(std::int64_t bytes, std::int64_t alignment) {
  return (bytes + alignment - 1) / alignment * alignment;
}

}  // namespace stepscope
