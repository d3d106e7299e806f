#include "model/layers/transformer.h"

#include <fmt/format.h>

#include <cmath>
#include <optional>

#include "model/base/error.h"
#include "model/layers/dense.h"
#include "model/layers/transformer_block.h"
#include "model/operations/cast/cast.h"
#include "model/operations/count_tokens/count_tokens.h"
#include "model/operations/cross_entropy/cross_entropy.h"
#include "model/operations/embedding/embedding.h"

namespace stepscope {

namespace {

double embedding_deviation(const ModelSettings& m, double otherwise) {
  return m.initial_deviation > 0 ? m.initial_deviation : otherwise;
}

// The first S rows of the learned positions; none where attention turns its queries and keys.
std::optional<Operand> positions_of(Builder& b, const ModelSettings& m) {
  if (m.positions != "learned") return std::nullopt;
  const auto scope = b.scope("positions", "Positions");
  const Initial initial{Initial::Law::normal, embedding_deviation(m, 0.02)};
  Operand positions = b.parameter("", {m.max_sequence, m.hidden}, initial, Builder::Use::exact);
  positions.view.shape = {b.program().sequence, m.hidden};
  return positions;
}

Operand embed(Builder& b, const ModelSettings& m, const Operand& tokens) {
  const std::optional<Operand> positions = positions_of(b, m);
  const auto scope = b.scope("embedding", "Embedding");
  const double by_width = 1 / std::sqrt(static_cast<double>(m.hidden));
  const Initial initial{Initial::Law::normal, embedding_deviation(m, by_width)};
  const Operand table = b.parameter("", {m.vocabulary, m.hidden}, initial, Builder::Use::exact);
  return b.operand(embedding(b, tokens, table, positions));
}

Operand head(Builder& b, const ModelSettings& m, const Operand& h) {
  if (m.tied_head) return tied_dense(b, "head", h, b.program().find_state("embedding"), m.head_bias);
  return wide_dense(b, "head", h, m.vocabulary, initial_weight(m, m.hidden), m.head_bias);
}

}  // namespace

Program build_transformer(Builder b, const ModelSettings& m, const Shape& custom_mask_shape) {
  const std::int64_t batch = b.program().global_batch, sequence = b.program().sequence;
  if (sequence > m.max_sequence)
    throw UsageError(
        fmt::format("training.sequence = {}: must be at most model.max_sequence = {}", sequence, m.max_sequence));
  const StateId tokens = b.batch_state("tokens", {DType::int32, {batch, sequence}});
  const StateId targets = b.batch_state("targets", {DType::int32, {batch, sequence}});
  const AttentionMask mask = attention_mask(b, m, custom_mask_shape);

  Operand x = embed(b, m, b.rows_of(tokens));  // [B, S, H]
  for (std::int64_t layer = 0; layer < m.layers; ++layer) {
    const auto scope = b.scope(fmt::format("blocks.{}", layer), "TransformerBlock");
    x = transformer_block(b, m, mask, x);
  }
  const Operand logits = head(b, m, norm(b, m, "final_norm", x));  // [B, S, V]
  const auto scope = b.scope("loss", "Loss");
  const ValueId loss = cross_entropy(b, logits, b.rows_of(targets));
  count_tokens(b, b.operand(targets));
  cast_copies(b);
  return std::move(b).finish(loss, logits.value());
}

}  // namespace stepscope
