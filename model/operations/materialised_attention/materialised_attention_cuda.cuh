// materialised_attention and its gradient on a card: batched matmuls of the library, and rows between them.
// Some batch rows at a time, so that scores held beside the results take 64 MiB or what one batch row has: heads lie one behind
// the other there, [heads, S, D], and the queries that share a key lie side by side, so that a matmul of them is one of a kv
// head.
#pragma once

#include <vector>

#include "model/cpu/workspace.h"
#include "model/cuda/binding.cuh"
#include "model/operations/attention/attention_rows.cuh"

namespace stepscope {

[[nodiscard]] std::int64_t materialised_attention_cuda_workspace(const Program& program, const Operation& op);
[[nodiscard]] std::int64_t materialised_attention_gradient_cuda_workspace(const Program& program, const Operation& op);

[[nodiscard]] CudaRun bind_materialised_attention_cuda(const CudaBinding& binding);
[[nodiscard]] CudaRun bind_materialised_attention_gradient_cuda(const CudaBinding& binding);

[[nodiscard]] std::int64_t& materialised_scores_held();  // bytes at once; one batch row's always: tests make it small

struct HeadView {  // where the D elements of head h of batch row b and position s begin
  std::int64_t batch_stride, group_stride, head_stride, row_stride, of_group;  // of_group: heads of a group
  [[nodiscard]] __device__ __forceinline__ std::int64_t at(std::int64_t b, std::int64_t h, std::int64_t s) const {
    return b * batch_stride + h / of_group * group_stride + h % of_group * head_stride + s * row_stride;
  }
};

[[nodiscard]] inline HeadView packed_queries(const HeadLayout& l) {
  return {l.batch_stride, l.group_stride, l.head_dim, l.row_stride, l.queries};
}
[[nodiscard]] inline HeadView packed_keys(const HeadLayout& l) {  // and values
  return {l.batch_stride, l.group_stride, 0, l.row_stride, 1};
}
[[nodiscard]] inline HeadView out_heads(const HeadLayout& l) {  // o and its gradient
  return {l.sequence * l.out_stride(), l.head_dim, 0, l.out_stride(), 1};
}
[[nodiscard]] inline HeadView apart(const HeadLayout& l, std::int64_t heads) {  // [B, heads, S, D]
  return {heads * l.sequence * l.head_dim, l.sequence * l.head_dim, 0, l.head_dim, 1};
}

// to = scale from, rounded as scale_row does it; scale 1 copies.
void copy_heads(cudaStream_t stream, DType dtype, const HeadView& from_view, const void* from, const HeadView& to_view,
                void* to, float scale, std::int64_t batch, std::int64_t heads, const HeadLayout& layout);

// Of a chunk of batch rows. Backward writes gradients over k, v and out once what they hold was multiplied for the last time.
struct HeadCopies {
  std::int64_t q = 0, k = 0, v = 0, out = 0;  // scaled queries; keys; values; o, or its gradient
  std::int64_t scores = 0, weights = 0, matmul = 0, total_bytes = 0;
};

struct MaterialisedPlan {
  HeadLayout layout;
  DType dtype;
  std::int64_t chunk;  // batch rows at a time
  HeadCopies at;  // bytes from the start of the workspace

  // scores, weights: whether fp32 ones are held beside the operands.
  MaterialisedPlan(const HeadLayout& layout, DType dtype, bool scores, bool weights);

  // c = a b over the heads of `batch` rows: a and b by their roles.
  [[nodiscard]] MatmulSpec scores_spec() const;  // [queries S, S] = [queries S, D] [S, D]^T, fp32
  [[nodiscard]] MatmulSpec rows_spec() const;  // [queries S, D] = [queries S, S] [S, D]
  [[nodiscard]] MatmulSpec columns_spec() const;  // [S, D] = [queries S, S]^T [queries S, D]
  [[nodiscard]] MatmulBatch batch_of(const MatmulSpec& spec, std::int64_t batch) const;
  [[nodiscard]] CudaMatmul matmul(const CudaBinding& binding, const MatmulSpec& spec, std::int64_t batch, const void* a,
                                  const void* b, void* c) const;
  [[nodiscard]] std::int64_t row_bytes(std::int64_t heads) const {  // of [heads, S, D]
    return heads * layout.sequence * layout.head_dim * size_bytes(dtype);
  }
};

}  // namespace stepscope
