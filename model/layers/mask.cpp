#include "model/layers/mask.h"

#include <fmt/format.h>

#include "model/base/error.h"

namespace stepscope {

namespace {

Operand custom_mask(Builder& b, const ModelSettings& m, Shape shape) {
  const std::int64_t batch = b.program().global_batch, sequence = b.program().sequence;
  if (shape.rank() == 0) shape = {1, 1, sequence, sequence};
  const bool fits = shape.rank() == 4 && (shape[0] == 1 || shape[0] == batch) &&
                    (shape[1] == 1 || shape[1] == m.heads) && shape[2] == sequence && shape[3] == sequence;
  if (!fits)
    throw UsageError(fmt::format("mask = {}: must be [{} or 1,{} or 1,{},{}]", to_string(shape), batch, m.heads,
                                 sequence, sequence));
  const StateId mask = b.batch_state("mask", {DType::u8, shape});
  return shape[0] == 1 ? b.operand(mask) : b.rows_of(mask);
}
}  // namespace

AttentionMask attention_mask(Builder& b, const ModelSettings& m, const Shape& custom_shape) {
  AttentionMask mask;
  for (const std::string& kind : m.mask) {
    if (kind == "causal") {
      mask.causal = true;
    } else if (kind == "padding") {
      mask.lengths = b.rows_of(b.batch_state("lengths", {DType::int32, {b.program().global_batch}}));
    } else {
      mask.custom = custom_mask(b, m, custom_shape);
    }
  }
  return mask;
}

}  // namespace stepscope
