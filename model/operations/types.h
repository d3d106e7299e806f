// What several operations ask of types and shapes.
#pragma once

#include <string>

#include "model/base/error.h"
#include "model/operations/packed_heads.h"
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

inline void require_packed(const Shape& qkv, std::int64_t heads, std::int64_t head_dim, const std::string& operation) {
  require(packed_heads(qkv, heads, head_dim).kv_heads > 0,
          operation + ": " + to_string(qkv) + " does not pack " + std::to_string(heads) + " heads of " +
              std::to_string(head_dim) + " features with their keys and values");
}

[[nodiscard]] inline const Shape& shape_of(const Operation& op, int in) {
  return op.ins[static_cast<std::size_t>(in)].view.shape;
}
[[nodiscard]] inline DType dtype_of(const Program& program, const Operation& op, int in) {
  return program.type(op.ins[static_cast<std::size_t>(in)]).dtype;
}

}  // namespace stepscope
