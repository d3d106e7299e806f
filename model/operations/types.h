// What several operations ask of types and shapes.
#pragma once

#include <string>

#include "model/base/error.h"
#include "model/program/program.h"

namespace stepscope {

// The type of statistics and sums beside values of this type: never narrow.
[[nodiscard]] constexpr DType wide(DType dtype) { return dtype == DType::fp64 ? DType::fp64 : DType::fp32; }

// The same extents, another last one.
[[nodiscard]] inline Shape with_last(const Shape& shape, std::int64_t last) {
  switch (shape.rank()) {
    case 1: return {last};
    case 2: return {shape[0], last};
    case 3: return {shape[0], shape[1], last};
    default: return {shape[0], shape[1], shape[2], last};
  }
}

inline void require(bool holds, const std::string& what) {
  if (!holds) throw ProgramError("V2", what);
}

[[nodiscard]] inline const Shape& shape_of(const Operation& op, int in) {
  return op.ins[static_cast<std::size_t>(in)].view.shape;
}
[[nodiscard]] inline DType dtype_of(const Program& program, const Operation& op, int in) {
  return program.type(op.ins[static_cast<std::size_t>(in)]).dtype;
}

}  // namespace stepscope
