// The two layers that every block is made of: Dense (weight and bias) and LayerNorm (scale and bias).
#pragma once

#include <string_view>

#include "model/program/builder.h"

namespace stepscope {

// x [.., I] -> [.., features]. Weights begin lecun-normal (truncated, variance 1 / I), biases at 0.
[[nodiscard]] Operand dense(Builder& b, std::string_view name, const Operand& x, std::int64_t features);
// The same with an output in the type of statistics: for logits.
[[nodiscard]] Operand wide_dense(Builder& b, std::string_view name, const Operand& x, std::int64_t features);
// x [.., H] -> [.., H], epsilon 1e-6.
[[nodiscard]] Operand norm(Builder& b, std::string_view name, const Operand& x);

}  // namespace stepscope
