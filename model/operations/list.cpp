#include "model/operations/list.h"

#include <stdexcept>

#include "model/operations/adam/adam.h"
#include "model/operations/adam/adam_cpu.h"
#include "model/operations/add/add_cpu.h"
#include "model/operations/attention/attention.h"
#include "model/operations/attention/attention_cpu.h"
#include "model/operations/cast/cast.h"
#include "model/operations/cast/cast_cpu.h"
#include "model/operations/copy/copy_cpu.h"
#include "model/operations/count_tokens/count_tokens.h"
#include "model/operations/count_tokens/count_tokens_cpu.h"
#include "model/operations/cross_entropy/cross_entropy.h"
#include "model/operations/cross_entropy/cross_entropy_cpu.h"
#include "model/operations/dropout_add/dropout_add.h"
#include "model/operations/dropout_add/dropout_add_cpu.h"
#include "model/operations/embedding/embedding.h"
#include "model/operations/embedding/embedding_cpu.h"
#include "model/operations/gelu/gelu.h"
#include "model/operations/gelu/gelu_cpu.h"
#include "model/operations/gradient_norm/gradient_norm.h"
#include "model/operations/gradient_norm/gradient_norm_cpu.h"
#include "model/operations/layer_norm/layer_norm.h"
#include "model/operations/layer_norm/layer_norm_cpu.h"
#include "model/operations/linear/linear.h"
#include "model/operations/linear/linear_cpu.h"
#include "model/operations/linear_gelu/linear_gelu.h"
#include "model/operations/linear_gelu/linear_gelu_cpu.h"
#include "model/operations/loss_scaling/loss_scaling.h"
#include "model/operations/loss_scaling/loss_scaling_cpu.h"
#include "model/operations/materialised_attention/materialised_attention.h"
#include "model/operations/materialised_attention/materialised_attention_cpu.h"
#include "model/operations/qk_norm/qk_norm.h"
#include "model/operations/qk_norm/qk_norm_cpu.h"
#include "model/operations/rms_norm/rms_norm.h"
#include "model/operations/rms_norm/rms_norm_cpu.h"
#include "model/operations/rotary/rotary.h"
#include "model/operations/rotary/rotary_cpu.h"
#include "model/operations/swiglu/swiglu.h"
#include "model/operations/swiglu/swiglu_cpu.h"
#include "model/program/add.h"
#include "model/program/copy.h"

namespace stepscope {

std::span<const OperationRow> operation_list() {
  static const OperationRow rows[] = {
      {&cast_kind, {nullptr, bind_cast_cpu}},
      {&copy_to_host_kind, {nullptr, bind_copy_cpu}},
      {&copy_from_host_kind, {nullptr, bind_copy_cpu}},
      {&count_tokens_kind, {nullptr, bind_count_tokens_cpu}},
      {&embedding_kind, {nullptr, bind_embedding_cpu}},
      {&embedding_gradient_kind, {embedding_gradient_cpu_workspace, bind_embedding_gradient_cpu}},
      {&linear_kind, {linear_cpu_workspace, bind_linear_cpu}},
      {&linear_weight_gradient_kind, {linear_weight_gradient_cpu_workspace, bind_linear_weight_gradient_cpu}},
      {&linear_input_gradient_kind, {linear_input_gradient_cpu_workspace, bind_linear_input_gradient_cpu}},
      {&linear_gelu_kind, {linear_gelu_cpu_workspace, bind_linear_gelu_cpu}},
      {&linear_gelu_input_gradient_kind,
       {linear_gelu_input_gradient_cpu_workspace, bind_linear_gelu_input_gradient_cpu}},
      {&layer_norm_kind, {nullptr, bind_layer_norm_cpu}},
      {&layer_norm_gradient_kind, {layer_norm_gradient_cpu_workspace, bind_layer_norm_gradient_cpu}},
      {&rms_norm_kind, {nullptr, bind_rms_norm_cpu}},
      {&rms_norm_gradient_kind, {rms_norm_gradient_cpu_workspace, bind_rms_norm_gradient_cpu}},
      {&qk_norm_kind, {nullptr, bind_qk_norm_cpu}},
      {&qk_norm_gradient_kind, {qk_norm_gradient_cpu_workspace, bind_qk_norm_gradient_cpu}},
      {&rotary_kind, {rotary_cpu_workspace, bind_rotary_cpu}},
      {&rotary_gradient_kind, {rotary_cpu_workspace, bind_rotary_gradient_cpu}},
      {&swiglu_kind, {nullptr, bind_swiglu_cpu}},
      {&swiglu_gradient_kind, {nullptr, bind_swiglu_gradient_cpu}},
      {&gelu_kind, {nullptr, bind_gelu_cpu}},
      {&gelu_gradient_kind, {nullptr, bind_gelu_gradient_cpu}},
      {&attention_kind, {attention_cpu_workspace, bind_attention_cpu}},
      {&attention_gradient_kind, {attention_gradient_cpu_workspace, bind_attention_gradient_cpu}},
      {&materialised_attention_kind, {materialised_attention_cpu_workspace, bind_materialised_attention_cpu}},
      {&materialised_attention_gradient_kind,
       {materialised_attention_gradient_cpu_workspace, bind_materialised_attention_gradient_cpu}},
      {&dropout_add_kind, {nullptr, bind_dropout_add_cpu}},
      {&dropout_gradient_kind, {nullptr, bind_dropout_gradient_cpu}},
      {&add_kind, {nullptr, bind_add_cpu}},
      {&add_rows_kind, {nullptr, bind_add_rows_cpu}},
      {&cross_entropy_kind, {cross_entropy_cpu_workspace, bind_cross_entropy_cpu}},
      {&gradient_norm_kind, {gradient_norm_cpu_workspace, bind_gradient_norm_cpu}},
      {&unscale_gradients_kind, {unscale_gradients_cpu_workspace, bind_unscale_gradients_cpu}},
      {&update_loss_scale_kind, {nullptr, bind_update_loss_scale_cpu}},
      {&adam_kind, {nullptr, bind_adam_cpu}},
  };
  return rows;
}

const OperationRow& row_of(const OperationKind& kind) {
  for (const OperationRow& row : operation_list())
    if (row.kind == &kind) return row;
  throw std::out_of_range("no row in operations/list.cpp for " + std::string(kind.name));
}

}  // namespace stepscope
