#include "model/layers/transformer.h"

#include <fmt/format.h>

#include <array>
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

DenseParameters head_parameters(Builder& b, const ModelSettings& m) {
  if (m.tied_head) return tied_parameters(b, "head", b.program().find_state("embedding"), m.head_bias);
  return wide_parameters(b, "head", m.hidden, m.vocabulary, initial_weight(m, m.hidden), m.head_bias);
}

// Rows of x [.., F] as [count, F], of numbers [B, S] as [count]; x itself where they are all of it.
Operand rows_between(const Operand& x, const RowRange& rows, std::int64_t features) {
  if (rows.count * features == x.view.shape.elements()) return x;
  Operand part = x;
  part.view.offset += rows.first * features;
  part.view.shape = features == 1 ? Shape{rows.count} : Shape{rows.count, features};
  part.view.strides = features == 1 ? std::array<std::int64_t, 4>{1} : std::array<std::int64_t, 4>{features, 1};
  return part;
}

struct Ending {
  ValueId loss, logits;
};

// h [B, S, H] -> its loss, by the builder's pieces of rows.
Ending head_and_loss(Builder& b, const ModelSettings& m, const Operand& h, const Operand& targets) {
  const DenseParameters head = head_parameters(b, m);
  Ending last;
  for (const RowRange& rows : b.row_pieces()) {
    b.begin_piece();
    const Operand logits = wide_product(b, "head", rows_between(h, rows, m.hidden), head);  // [B, S, V] or [count, V]
    const auto scope = b.scope("loss", "Loss");
    last = {cross_entropy(b, logits, rows_between(targets, rows, 1)), logits.value()};
    b.end_piece(last.loss);
  }
  return last;
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
  const Ending end = head_and_loss(b, m, norm(b, m, "final_norm", x), b.rows_of(targets));
  const auto scope = b.scope("loss", "Loss");
  count_tokens(b, b.operand(targets));
  cast_copies(b);
  return std::move(b).finish(end.loss, end.logits);
}

}  // namespace stepscope
