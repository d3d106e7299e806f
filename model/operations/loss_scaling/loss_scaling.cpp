#include "model/operations/loss_scaling/loss_scaling.h"

#include "model/operations/types.h"

namespace stepscope {

namespace {

std::vector<Output> unscale_outputs(const Program& program, const Operation& op) {
  require(op.writes.size() >= 2 && op.writes[0].state == program.results, "unscale_gradients: no gradients");
  return {};
}

std::vector<Output> scale_outputs(const Program&, const Operation& op) {
  require(op.attributes.growth_interval >= 1, "update_loss_scale: no growth interval");
  return {};
}

}  // namespace

const OperationKind unscale_gradients_kind{.name = "unscale_gradients", .outputs = unscale_outputs};
const OperationKind update_loss_scale_kind{.name = "update_loss_scale", .outputs = scale_outputs};

}  // namespace stepscope
