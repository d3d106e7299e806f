#include "model/layers/dense.h"

#include <cmath>
#include <optional>

#include "model/operations/layer_norm/layer_norm.h"
#include "model/operations/linear/linear.h"
#include "model/operations/rms_norm/rms_norm.h"

namespace stepscope {

namespace {

std::optional<Operand> bias_of(Builder& b, std::int64_t features, bool with_bias) {
  if (!with_bias) return std::nullopt;
  return b.parameter("bias", {features}, {}, Builder::Use::multiplied);
}

}  // namespace

Initial initial_weight(const ModelSettings& m, std::int64_t in_features, bool ends_a_branch) {
  if (m.initial_deviation == 0)
    return {Initial::Law::truncated_normal, 1 / std::sqrt(static_cast<double>(in_features))};
  const double branches = ends_a_branch ? 2 * static_cast<double>(m.layers) : 1;
  return {Initial::Law::normal, m.initial_deviation / std::sqrt(branches)};
}

Operand dense(Builder& b, std::string_view name, const Operand& x, std::int64_t features, const Initial& initial,
              bool with_bias) {
  const auto scope = b.scope(name, "Dense");
  const Operand weight = b.parameter("weight", {x.view.shape.last(), features}, initial, Builder::Use::multiplied);
  return b.operand(linear(b, x, weight, bias_of(b, features, with_bias), b.compute()));
}

DenseParameters wide_parameters(Builder& b, std::string_view name, std::int64_t in_features, std::int64_t features,
                                const Initial& initial, bool with_bias) {
  const auto scope = b.scope(name, "Dense");
  const Operand weight = b.parameter("weight", {in_features, features}, initial, Builder::Use::multiplied);
  return {weight, bias_of(b, features, with_bias)};
}

DenseParameters tied_parameters(Builder& b, std::string_view name, StateId table, bool with_bias) {
  const auto scope = b.scope(name, "Dense");
  Operand weight = b.multiplied(table);
  const Shape stored = weight.view.shape;
  weight.view.shape = {stored[1], stored[0]};
  weight.view.strides = {1, stored[1]};
  return {weight, bias_of(b, stored[0], with_bias)};
}

Operand wide_product(Builder& b, std::string_view name, const Operand& x, const DenseParameters& dense) {
  const auto scope = b.scope(name, "Dense");
  return b.operand(linear(b, x, dense.weight, dense.bias, b.statistic()));
}

Operand wide_dense(Builder& b, std::string_view name, const Operand& x, std::int64_t features, const Initial& initial,
                   bool with_bias) {
  return wide_product(b, name, x, wide_parameters(b, name, x.view.shape.last(), features, initial, with_bias));
}

Operand tied_dense(Builder& b, std::string_view name, const Operand& x, StateId table, bool with_bias) {
  return wide_product(b, name, x, tied_parameters(b, name, table, with_bias));
}

Operand norm(Builder& b, const ModelSettings& m, std::string_view name, const Operand& x) {
  const bool centred = m.norm == "layer";
  const auto scope = b.scope(name, centred ? "LayerNorm" : "RMSNorm");
  const std::int64_t features = x.view.shape.last();
  const Operand scale = b.parameter("scale", {features}, {Initial::Law::ones, 0}, Builder::Use::exact);
  if (!centred) return b.operand(rms_norm(b, x, scale, m.norm_epsilon));
  const Operand bias = b.parameter("bias", {features}, {}, Builder::Use::exact);
  return b.operand(layer_norm(b, x, scale, bias, m.norm_epsilon));
}

}  // namespace stepscope
