#include "model/layers/transformer.h"

#include <fmt/format.h>

#include <cmath>

#include "model/base/error.h"
#include "model/layers/dense.h"
#include "model/layers/transformer_block.h"
#include "model/operations/cast/cast.h"
#include "model/operations/count_tokens/count_tokens.h"
#include "model/operations/cross_entropy/cross_entropy.h"
#include "model/operations/embedding/embedding.h"

namespace stepscope {

namespace {

Operand embed(Builder& b, const ModelSettings& m, const Operand& tokens) {
  const std::int64_t sequence = tokens.view.shape[1];
  const double given = m.initial_deviation;
  const Initial of_table{Initial::Law::normal, given > 0 ? given : 1 / std::sqrt(static_cast<double>(m.hidden))};
  const Initial of_positions{Initial::Law::normal, given > 0 ? given : 0.02};
  Operand positions = [&] {
    const auto scope = b.scope("positions", "Positions");
    return b.parameter("", {m.max_sequence, m.hidden}, of_positions, Builder::Use::exact);
  }();
  positions.view.shape = {sequence, m.hidden};  // the first S rows
  const auto scope = b.scope("embedding", "Embedding");
  const Operand table = b.parameter("", {m.vocabulary, m.hidden}, of_table, Builder::Use::exact);
  return b.operand(embedding(b, tokens, table, positions));
}

Operand head(Builder& b, const ModelSettings& m, const Operand& h) {
  if (m.tied_head) return tied_dense(b, "head", h, b.program().find_state("embedding"), m.head_bias);
  return wide_dense(b, "head", h, m.vocabulary, initial_weight(m, m.hidden), m.head_bias);
}

void refuse_what_is_not_built(const ModelSettings& m) {
  const auto refuse = [](std::string_view field, const auto& value) {
    throw UsageError(fmt::format("model.{} = {}: is not built yet", field, value));
  };
  if (m.norm != "layer") refuse("norm", m.norm);
  if (m.activation != "gelu") refuse("activation", m.activation);
  if (m.positions != "learned") refuse("positions", m.positions);
  if (m.kv_heads != m.heads) refuse("kv_heads", m.kv_heads);
  if (!m.qkv_bias) refuse("qkv_bias", false);
  if (!m.out_bias) refuse("out_bias", false);
  if (!m.mlp_bias) refuse("mlp_bias", false);
  if (m.qk_norm) refuse("qk_norm", true);
}

}  // namespace

Program build_transformer(Builder b, const ModelSettings& m, const Shape& custom_mask_shape) {
  const std::int64_t batch = b.program().global_batch, sequence = b.program().sequence;
  if (sequence > m.max_sequence)
    throw UsageError(
        fmt::format("training.sequence = {}: must be at most model.max_sequence = {}", sequence, m.max_sequence));
  refuse_what_is_not_built(m);
  const StateId tokens = b.batch_state("tokens", {DType::int32, {batch, sequence}});
  const StateId targets = b.batch_state("targets", {DType::int32, {batch, sequence}});
  const AttentionMask mask = attention_mask(b, m, custom_mask_shape);

  Operand x = embed(b, m, b.rows_of(tokens));  // [B, S, H]
  for (std::int64_t layer = 0; layer < m.layers; ++layer) {
    const auto scope = b.scope(fmt::format("blocks.{}", layer), "TransformerBlock");
    x = transformer_block(b, m, mask, x);
  }
  const Operand logits = head(b, m, norm(b, "final_norm", x, m.norm_epsilon));  // [B, S, V]
  const auto scope = b.scope("loss", "Loss");
  const ValueId loss = cross_entropy(b, logits, b.rows_of(targets));
  count_tokens(b, b.operand(targets));
  cast_copies(b);
  return std::move(b).finish(loss, logits.value());
}

}  // namespace stepscope
