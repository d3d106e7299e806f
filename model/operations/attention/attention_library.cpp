#include "model/operations/attention/attention_library.h"

#include "model/operations/attention/attention.h"
#include "model/operations/attention/attention_layout.h"
#include "model/program/memory_plan.h"

namespace stepscope {

namespace {

constexpr std::int64_t tile = 128,
                       slack_bytes = std::int64_t{64} << 10;  // slack: for engines other than those that were asked

int first_operand(const Operation& op) { return op.kind == &attention_gradient_kind ? 1 : 0; }  // q's

}  // namespace

bool by_library(const Operation& op) {
  return (op.kind == &attention_kind || op.kind == &attention_gradient_kind) &&
         op.attributes.algorithm == library_algorithm;
}

std::string why_not_by_library(const Program& program, const Operation& op) {
  const HeadLayout layout = head_layout(op, 0);
  const DType dtype = program.type(op.ins[0]).dtype;
  if (dtype != DType::bf16 && dtype != DType::fp16)
    return "cuDNN's fused attention takes bf16 and fp16, not " + std::string(name_of(dtype));
  if (op.attributes.mask.custom) return "cuDNN's fused attention is given no custom masks here";
  if (rounds_probabilities(op)) return "cuDNN's fused attention holds probabilities in fp32 alone";
  if (layout.head_dim % 8 != 0 || layout.head_dim > 128)
    return "cuDNN's fused attention takes heads of a multiple of 8 features up to 128, not of " +
           std::to_string(layout.head_dim);
  if (layout.sequence < 2) return "cuDNN's fused attention takes rows of two tokens and more";
  return "";
}

bool tells_lengths(const Operation& op) {
  return op.attributes.mask.padding || head_layout(op, first_operand(op)).sequence % tile != 0;
}

std::int64_t lengths_bytes(const Operation& op) {
  const std::int64_t rows = head_layout(op, first_operand(op)).batch;
  return tells_lengths(op) ? 2 * round_up(rows * size_bytes(DType::int32), arena_alignment_bytes) : 0;
}

// Scores' gradients of one call, rows and columns in whole tiles, in the operands' type; delta; of grouped heads dk and dv of each query.
std::int64_t library_attention_workspace_bytes(const Operation& op) {
  const HeadLayout l = head_layout(op, first_operand(op));
  std::int64_t bytes = lengths_bytes(op) + slack_bytes;
  if (op.kind == &attention_gradient_kind) {
    const std::int64_t heads = l.queries > 1 ? l.queries : l.kv_heads, rows = l.batch * heads * l.sequence;
    bytes += 2 * l.batch * heads * round_up(l.sequence, tile / 2) * round_up(l.sequence, tile);
    bytes += 4 * rows + (l.queries > 1 ? 2 * 2 * rows * l.head_dim : 0);
  }
  return round_up(bytes, arena_alignment_bytes);
}

}  // namespace stepscope
