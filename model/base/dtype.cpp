#include "model/base/dtype.h"

namespace stepscope {

namespace {
struct Named {
  DType dtype;
  std::string_view name;
};
constexpr Named names[] = {{DType::fp64, "fp64"}, {DType::fp32, "fp32"},   {DType::bf16, "bf16"},
                           {DType::fp16, "fp16"}, {DType::int32, "int32"}, {DType::u8, "u8"}};
}  // namespace

std::string_view name_of(DType dtype) {
  for (const Named& row : names)
    if (row.dtype == dtype) return row.name;
  return "?";
}

std::optional<DType> dtype_named(std::string_view name) {
  for (const Named& row : names)
    if (row.name == name) return row.dtype;
  return std::nullopt;
}

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (axis > 0) text += ',';
    text += std::to_string(shape[axis]);
  }
  return text + "]";
}

}  // namespace stepscope
