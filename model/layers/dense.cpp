#include "model/layers/dense.h"

#include <cmath>

#include "model/operations/layer_norm/layer_norm.h"
#include "model/operations/linear/linear.h"

namespace stepscope {

namespace {

Operand dense_into(Builder& b, std::string_view name, const Operand& x, std::int64_t features, DType output) {
  const auto scope = b.scope(name, "Dense");
  const std::int64_t in_features = x.view.shape.last();
  const Initial lecun_normal{Initial::Law::truncated_normal, 1 / std::sqrt(static_cast<double>(in_features))};
  const Operand weight = b.parameter("weight", {in_features, features}, lecun_normal, Builder::Use::multiplied);
  const Operand bias = b.parameter("bias", {features}, {}, Builder::Use::multiplied);
  return b.operand(linear(b, x, weight, bias, output));
}

}  // namespace

Operand dense(Builder& b, std::string_view name, const Operand& x, std::int64_t features) {
  return dense_into(b, name, x, features, b.compute());
}

Operand wide_dense(Builder& b, std::string_view name, const Operand& x, std::int64_t features) {
  return dense_into(b, name, x, features, b.statistic());
}

Operand norm(Builder& b, std::string_view name, const Operand& x) {
  const auto scope = b.scope(name, "LayerNorm");
  const std::int64_t features = x.view.shape.last();
  const Operand scale = b.parameter("scale", {features}, {Initial::Law::ones, 0}, Builder::Use::exact);
  const Operand bias = b.parameter("bias", {features}, {}, Builder::Use::exact);
  return b.operand(layer_norm(b, x, scale, bias, 1e-6));
}

}  // namespace stepscope
