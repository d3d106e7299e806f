#include "model/operations/count_tokens/count_tokens.h"

#include "model/operations/types.h"

namespace stepscope {

namespace {

std::vector<Output> outputs(const Program&, const Operation& op) {
  require(shape_of(op, 0).rank() == 2, "count_tokens: targets are not [global_batch,S]");
  return {};
}

}  // namespace

const OperationKind count_tokens_kind{.name = "count_tokens", .outputs = outputs};

void count_tokens(Builder& b, const Operand& targets) {
  b.emit_prologue(count_tokens_kind, {targets}, {{b.program().results, Accumulate::no}});
}

}  // namespace stepscope
