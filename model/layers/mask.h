// Which keys a query may see: causal, padding by lengths, a custom mask from outside, combined by and.
#pragma once

#include <optional>

#include "model/layers/model_settings.h"
#include "model/program/builder.h"

namespace stepscope {

struct AttentionMask {
  bool causal = false;
  std::optional<Operand> lengths;  // int32 [B]
  std::optional<Operand> custom;  // u8 [B|1, heads|1, S, S], 1 = visible
};

// Makes the batch states that the model's masks need.
[[nodiscard]] AttentionMask attention_mask(Builder& b, const ModelSettings& m, const Shape& custom_shape);

}  // namespace stepscope
