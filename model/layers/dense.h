// The layers that every block is made of: Dense (weight, and a bias where wanted) and a norm (scale, and a bias in a LayerNorm).
#pragma once

#include <optional>
#include <string_view>

#include "model/layers/model_settings.h"
#include "model/program/builder.h"

namespace stepscope {

// How a Dense's weight [I, features] begins: lecun-normal (truncated, variance 1 / I), or a normal of initial_deviation, which
// is divided by the root of the branches' number where `ends_a_branch`, so that the residual stream starts as wide for any depth.
[[nodiscard]] Initial initial_weight(const ModelSettings& m, std::int64_t in_features, bool ends_a_branch = false);

// x [.., I] -> [.., features]. Biases begin at 0.
[[nodiscard]] Operand dense(Builder& b, std::string_view name, const Operand& x, std::int64_t features,
                            const Initial& initial, bool with_bias = true);
// The same with an output in the type of statistics: for logits.
[[nodiscard]] Operand wide_dense(Builder& b, std::string_view name, const Operand& x, std::int64_t features,
                                 const Initial& initial, bool with_bias);
// A Dense whose weight is the table [features, I] of an embedding, in the type of statistics.
[[nodiscard]] Operand tied_dense(Builder& b, std::string_view name, const Operand& x, StateId table, bool with_bias);
// What both are made of, where more than one x meets one set of parameters.
struct DenseParameters {
  Operand weight;  // [I, features]
  std::optional<Operand> bias = {};
};
[[nodiscard]] DenseParameters wide_parameters(Builder& b, std::string_view name, std::int64_t in_features,
                                              std::int64_t features, const Initial& initial, bool with_bias);
[[nodiscard]] DenseParameters tied_parameters(Builder& b, std::string_view name, StateId table, bool with_bias);
[[nodiscard]] Operand wide_product(Builder& b, std::string_view name, const Operand& x, const DenseParameters& dense);
// x [.., H] -> [.., H], by the settings' norm and epsilon.
[[nodiscard]] Operand norm(Builder& b, const ModelSettings& m, std::string_view name, const Operand& x);

}  // namespace stepscope
