#include "model/operations/list_cuda.cuh"

#include <string>

#include "model/operations/adam/adam.h"
#include "model/operations/adam/adam_cuda.cuh"
#include "model/operations/add/add_cuda.cuh"
#include "model/operations/attention/attention.h"
#include "model/operations/attention/attention_cuda.cuh"
#include "model/operations/cast/cast.h"
#include "model/operations/cast/cast_cuda.cuh"
#include "model/operations/copy/copy_cuda.cuh"
#include "model/operations/count_tokens/count_tokens.h"
#include "model/operations/count_tokens/count_tokens_cuda.cuh"
#include "model/operations/cross_entropy/cross_entropy.h"
#include "model/operations/cross_entropy/cross_entropy_cuda.cuh"
#include "model/operations/cuda_workspace.h"
#include "model/operations/dropout_add/dropout_add.h"
#include "model/operations/dropout_add/dropout_add_cuda.cuh"
#include "model/operations/embedding/embedding.h"
#include "model/operations/embedding/embedding_cuda.cuh"
#include "model/operations/gelu/gelu.h"
#include "model/operations/gelu/gelu_cuda.cuh"
#include "model/operations/gradient_norm/gradient_norm.h"
#include "model/operations/gradient_norm/gradient_norm_cuda.cuh"
#include "model/operations/layer_norm/layer_norm.h"
#include "model/operations/layer_norm/layer_norm_cuda.cuh"
#include "model/operations/linear/linear.h"
#include "model/operations/linear/linear_cuda.cuh"
#include "model/operations/linear_gelu/linear_gelu.h"
#include "model/operations/linear_gelu/linear_gelu_cuda.cuh"
#include "model/operations/loss_scaling/loss_scaling.h"
#include "model/operations/loss_scaling/loss_scaling_cuda.cuh"
#include "model/operations/materialised_attention/materialised_attention.h"
#include "model/operations/materialised_attention/materialised_attention_cuda.cuh"
#include "model/operations/qk_norm/qk_norm.h"
#include "model/operations/qk_norm/qk_norm_cuda.cuh"
#include "model/operations/rms_norm/rms_norm.h"
#include "model/operations/rms_norm/rms_norm_cuda.cuh"
#include "model/operations/rotary/rotary.h"
#include "model/operations/rotary/rotary_cuda.cuh"
#include "model/operations/swiglu/swiglu.h"
#include "model/operations/swiglu/swiglu_cuda.cuh"
#include "model/program/add.h"
#include "model/program/copy.h"

namespace stepscope {

std::span<const CudaRow> cuda_operation_list() {
  static const CudaRow rows[] = {
      {&add_kind, {nullptr, bind_add_cuda}},
      {&add_rows_kind, {nullptr, bind_add_rows_cuda}},
      {&cast_kind, {nullptr, bind_cast_cuda}},
      {&copy_to_host_kind, {nullptr, bind_copy_to_host_cuda}},
      {&copy_from_host_kind, {nullptr, bind_copy_from_host_cuda}},
      {&count_tokens_kind, {nullptr, bind_count_tokens_cuda}},
      {&embedding_kind, {nullptr, bind_embedding_cuda}},
      {&embedding_gradient_kind, {embedding_gradient_cuda_workspace, bind_embedding_gradient_cuda}},
      {&linear_kind, {linear_cuda_workspace, bind_linear_cuda, true}},
      {&linear_weight_gradient_kind, {linear_weight_gradient_cuda_workspace, bind_linear_weight_gradient_cuda, true}},
      {&linear_input_gradient_kind, {linear_input_gradient_cuda_workspace, bind_linear_input_gradient_cuda, true}},
      {&linear_gelu_kind, {linear_cuda_workspace, bind_linear_gelu_cuda, true}},
      {&linear_gelu_input_gradient_kind,
       {linear_input_gradient_cuda_workspace, bind_linear_gelu_input_gradient_cuda, true}},
      {&layer_norm_kind, {nullptr, bind_layer_norm_cuda}},
      {&layer_norm_gradient_kind, {layer_norm_gradient_cuda_workspace, bind_layer_norm_gradient_cuda}},
      {&gelu_kind, {nullptr, bind_gelu_cuda}},
      {&gelu_gradient_kind, {nullptr, bind_gelu_gradient_cuda}},
      {&attention_kind, {attention_cuda_workspace, bind_attention_cuda}},
      {&attention_gradient_kind, {attention_cuda_workspace, bind_attention_gradient_cuda}},
      {&materialised_attention_kind, {materialised_attention_cuda_workspace, bind_materialised_attention_cuda, true}},
      {&materialised_attention_gradient_kind,
       {materialised_attention_gradient_cuda_workspace, bind_materialised_attention_gradient_cuda, true}},
      {&dropout_add_kind, {nullptr, bind_dropout_add_cuda}},
      {&dropout_gradient_kind, {nullptr, bind_dropout_gradient_cuda}},
      {&cross_entropy_kind, {cross_entropy_cuda_workspace, bind_cross_entropy_cuda}},
      {&gradient_norm_kind, {gradient_norm_cuda_workspace, bind_gradient_norm_cuda}},
      {&unscale_gradients_kind, {unscale_gradients_cuda_workspace, bind_unscale_gradients_cuda}},
      {&update_loss_scale_kind, {nullptr, bind_update_loss_scale_cuda}},
      {&adam_kind, {adam_cuda_workspace, bind_adam_cuda}},
      {&rms_norm_kind, {nullptr, bind_rms_norm_cuda}},
      {&rms_norm_gradient_kind, {rms_norm_gradient_cuda_workspace, bind_rms_norm_gradient_cuda}},
      {&qk_norm_kind, {nullptr, bind_qk_norm_cuda}},
      {&qk_norm_gradient_kind, {qk_norm_gradient_cuda_workspace, bind_qk_norm_gradient_cuda}},
      {&swiglu_kind, {nullptr, bind_swiglu_cuda}},
      {&swiglu_gradient_kind, {nullptr, bind_swiglu_gradient_cuda}},
      {&rotary_kind, {rotary_cuda_workspace, bind_rotary_cuda}},
      {&rotary_gradient_kind, {rotary_cuda_workspace, bind_rotary_gradient_cuda}},
  };
  return rows;
}

const CudaOperation& cuda_row_of(const OperationKind& kind) {
  for (const CudaRow& row : cuda_operation_list())
    if (row.kind == &kind) return row.cuda;
  throw Unsupported("CUDA: " + std::string(kind.name) + " runs on a CPU only");
}

std::int64_t cuda_workspace_bytes(const Program& program, const Operation& op) {
  const CudaOperation& cuda = cuda_row_of(*op.kind);
  return cuda.workspace_bytes == nullptr ? 0 : cuda.workspace_bytes(program, op);
}

}  // namespace stepscope
