#include "tests/support/attention_case.h"

#include <algorithm>
#include <cmath>

#include "model/operations/attention/attention.h"
#include "model/operations/attention/attention_library.h"
#include "model/operations/materialised_attention/materialised_attention.h"

namespace stepscope::testing {

namespace {

AttentionOperands operands_of(const AttentionCase& c, CaseBuilder& builder) {
  const std::int64_t queries = c.heads / c.kv_heads, packed = c.kv_heads * (queries + 2) * c.width;
  const Operand qkv = builder.activation("qkv", {c.batch, c.sequence, packed}, 0, c.deviation);
  AttentionOperands operands{qkv, qkv, qkv, {}, {}};
  std::int64_t next = 0;
  for (Operand* part : {&operands.q, &operands.k, &operands.v}) {
    const std::int64_t features = part == &operands.q ? queries * c.width : c.width;
    part->view = {.offset = next,
                  .shape = {qkv.view.shape[0], c.sequence, c.kv_heads, features},
                  .strides = {c.sequence * packed, packed, packed / c.kv_heads, 1}};
    next += features;
  }
  if (!c.lengths.empty()) operands.lengths = builder.integers("lengths", {c.batch}, c.lengths);
  const Shape one{1, 1, c.sequence, c.sequence}, each{c.batch, c.heads, c.sequence, c.sequence};
  if (c.custom > 0) operands.mask = builder.mask(c.custom == 1 ? one : each, 0.6, 1);
  return operands;
}

}  // namespace

double AttentionCase::scale() const { return 1 / std::sqrt(static_cast<double>(width)); }

const OperationKind& AttentionCase::kind() const { return materialised ? materialised_attention_kind : attention_kind; }
const OperationKind& AttentionCase::gradient_kind() const {
  return materialised ? materialised_attention_gradient_kind : attention_gradient_kind;
}

CaseProgram AttentionCase::make() const {
  CaseBuilder builder(dtype, micro_steps);
  const AttentionOperands operands = operands_of(*this, builder);
  Attributes attributes = attention_attributes(operands, causal, scale(), probabilities);
  if (by_library) attributes.algorithm = library_algorithm;
  builder.project({builder.b.emit(kind(), attributes, in_order(operands))[0]});
  CaseProgram made = std::move(builder).finish();
  if (custom == 0) return made;
  std::vector<double>& mask = made.contents.at("mask");
  for (std::size_t i = 0; i < mask.size(); ++i) {
    const std::int64_t query = static_cast<std::int64_t>(i) / sequence % sequence,
                       key = static_cast<std::int64_t>(i) % sequence;
    if (key < hidden_keys) mask[i] = 0;
    if ((query < 64 && key < 64 && sequence > 64) || (query >= 64 && key >= 64 && key < 128)) mask[i] = 0;
  }
  return made;
}

PlainAttention AttentionCase::plain(const CaseProgram& made, int micro_step, std::vector<double> qkv,
                                    std::vector<double> dout) const {
  const std::int64_t rows = batch / micro_steps;
  PlainAttention plain{.batch = rows,
                       .sequence = sequence,
                       .heads = heads,
                       .kv_heads = kv_heads,
                       .width = width,
                       .scale = scale(),
                       .operands = dtype,
                       .probabilities = probabilities,
                       .scales_queries = materialised,
                       .rounds_heads = by_library && heads > kv_heads,
                       .qkv = std::move(qkv),
                       .dout = std::move(dout)};
  plain.hidden = [this, &made, micro_step, rows](std::int64_t b, std::int64_t head, std::int64_t i, std::int64_t j) {
    const std::int64_t row = micro_step * rows + b;
    if (causal && j > i) return true;
    if (!lengths.empty() && static_cast<double>(j) >= lengths[static_cast<std::size_t>(row)]) return true;
    if (custom == 0) return false;
    const std::int64_t matrix = custom == 1 ? 0 : row * heads + head;
    return made.contents.at("mask")[static_cast<std::size_t>((matrix * sequence + i) * sequence + j)] == 0;
  };
  plain.run();
  return plain;
}

const Operation& operation_of(const Program& program, const OperationKind& kind) {
  return *std::find_if(program.operations.begin(), program.operations.end(),
                       [&](const Operation& op) { return op.kind == &kind; });
}

}  // namespace stepscope::testing
