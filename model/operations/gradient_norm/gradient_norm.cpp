#include "model/operations/gradient_norm/gradient_norm.h"

#include "model/operations/types.h"

namespace stepscope {

namespace {

std::vector<Output> outputs(const Program&, const Operation& op) {
  require(op.ins.size() >= 2 && op.writes.size() == 1, "gradient_norm: no gradients");
  return {};
}

}  // namespace

const OperationKind gradient_norm_kind{.name = "gradient_norm", .outputs = outputs};

}  // namespace stepscope
