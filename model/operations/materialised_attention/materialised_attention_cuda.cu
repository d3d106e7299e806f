// Forward: 4 S S D FLOPs a head in two matmuls. Moves, a head: scores (4 S S bytes) written, read, and written as p; p_compute
// (2 S S) written, and read by the second matmul; q, k, v and o twice, for their copies. D / 4 FLOPs for each byte: bound by
// bytes.
#include "model/operations/materialised_attention/materialised_attention_cuda.cuh"

#include <algorithm>
#include <memory>

#include "model/cuda/pack.cuh"
#include "model/cuda/team.cuh"
#include "model/operations/attention/attention.h"
#include "model/operations/materialised_attention/materialised_attention_body.h"

namespace stepscope {

// Thread i takes N elements of a head's row; bytes as they are: each element read and written once.
template <class T, int N>
__global__ void __launch_bounds__(element_threads)
    copy_heads_kernel(HeadView from_view, const T* from, HeadView to_view, T* to, float scale, std::int64_t heads,
                      std::int64_t sequence, std::int64_t width, std::int64_t n) {
  const std::int64_t first = grid_thread() * N;
  if (first >= n) return;
  const std::int64_t row = first / width, d = first % width;
  const std::int64_t s = row % sequence, h = row / sequence % heads, b = row / sequence / heads;
  const Pack<T, N> in = load_pack<T, N>(from + from_view.at(b, h, s) + d, 0);
  Pack<T, N> out;
  scale_row<T>(ThreadTeam{}, in.at, out.at, scale, N);
  store_pack(to + to_view.at(b, h, s) + d, 0, out);
}

// A block takes a row of scores: p in their place and, where it is narrow, in p; p_compute beside it where there is one.
template <class T, class P>
__global__ void softmax_rows_kernel(AttentionRows rows, const ControlBlock* control, std::int64_t first_batch,
                                    float* scores, P* p, T* p_compute) {
  const HeadLayout& l = rows.layout;
  const std::int64_t at = blockIdx.x, S = l.sequence;
  const std::int64_t s = at % S, head = at / S % l.heads, b = first_batch + at / S / l.heads;
  const BlockTeam team;
  float* const row = scores + at * S;
  (void)softmax_row(team, row, rows.mask.keys(b, head, s, control->micro_step), 1.0f, S);
  round_probabilities(team, rows.probabilities, row, S);
  if constexpr (!std::is_same_v<P, float>) round_row<P>(team, row, p + at * S, S);
  if (p_compute != nullptr) round_row<T>(team, row, p_compute + at * S, S);
}

void copy_heads(cudaStream_t stream, DType dtype, const HeadView& from_view, const void* from, const HeadView& to_view,
                void* to, float scale, std::int64_t batch, std::int64_t heads, const HeadLayout& l) {
  dispatch_cuda(dtype, [&]<class T>() {
    const std::int64_t n = batch * heads * l.sequence * l.head_dim;
    constexpr int pack = 16 / static_cast<int>(sizeof(T));
    bool aligned = l.head_dim % pack == 0 && element_launch(n, pack, {from, to}).packs > 0;
    for (const HeadView& view : {from_view, to_view})
      for (const std::int64_t stride : {view.batch_stride, view.group_stride, view.head_stride, view.row_stride})
        aligned &= stride % pack == 0;
    const auto issue = [&](auto kernel, int elements) {
      launch(kernel, element_launch(n / elements, 1, {}).grid, element_threads, 0, stream, from_view,
             static_cast<const T*>(from), to_view, static_cast<T*>(to), scale, heads, l.sequence, l.head_dim, n);
    };
    if (aligned)
      issue(copy_heads_kernel<T, pack>, pack);
    else
      issue(copy_heads_kernel<T, 1>, 1);
  });
}

std::int64_t& materialised_scores_held() {
  static std::int64_t bytes = std::int64_t{64} << 20;
  return bytes;
}

MaterialisedPlan::MaterialisedPlan(const HeadLayout& l, DType type, bool holds_scores, bool holds_weights)
    : layout(l), dtype(type) {
  const std::int64_t matrix_bytes = l.heads * l.sequence * l.sequence * static_cast<std::int64_t>(sizeof(float));
  chunk = std::clamp<std::int64_t>(materialised_scores_held() / matrix_bytes, 1, l.batch);
  WorkspaceLayout pieces;
  at.q = pieces.place(chunk * row_bytes(l.heads));
  at.k = pieces.place(chunk * row_bytes(l.kv_heads));
  at.v = pieces.place(chunk * row_bytes(l.kv_heads));
  at.out = pieces.place(chunk * row_bytes(l.heads));
  at.scores = pieces.place(holds_scores ? chunk * matrix_bytes : 0);
  at.weights = pieces.place(holds_weights ? chunk * matrix_bytes : 0);
  at.matmul = pieces.place(std::max({matmul_workspace_bytes(scores_spec()), matmul_workspace_bytes(rows_spec()),
                                     matmul_workspace_bytes(columns_spec())}));
  at.total_bytes = pieces.total_bytes();
}

MatmulSpec MaterialisedPlan::scores_spec() const {
  const HeadLayout& l = layout;
  return {.m = l.queries * l.sequence,
          .n = l.sequence,
          .k = l.head_dim,
          .transpose_b = true,
          .a_stride = l.head_dim,
          .b_stride = l.head_dim,
          .c_stride = l.sequence,
          .in = dtype,
          .out = DType::fp32};
}
MatmulSpec MaterialisedPlan::rows_spec() const {
  const HeadLayout& l = layout;
  return {.m = l.queries * l.sequence,
          .n = l.head_dim,
          .k = l.sequence,
          .a_stride = l.sequence,
          .b_stride = l.head_dim,
          .c_stride = l.head_dim,
          .in = dtype,
          .out = dtype};
}
MatmulSpec MaterialisedPlan::columns_spec() const {
  MatmulSpec spec = rows_spec();
  spec.m = layout.sequence;
  spec.k = layout.queries * layout.sequence;
  spec.transpose_a = true;
  return spec;
}

MatmulBatch MaterialisedPlan::batch_of(const MatmulSpec& s, std::int64_t batch) const {
  return {.count = batch * layout.kv_heads, .a_stride = s.m * s.k, .b_stride = s.k * s.n, .c_stride = s.m * s.n};
}

CudaMatmul MaterialisedPlan::matmul(const CudaBinding& binding, const MatmulSpec& spec, std::int64_t batch,
                                    const void* a, const void* b, void* c) const {
  return {*binding.matmuls, spec, binding.program->tf32 && dtype == DType::fp32,
          CudaMatmulAddresses{.a = a, .b = b, .c = c, .workspace = binding.workspace + at.matmul},
          batch_of(spec, batch)};
}

namespace {

// Scores are made in p itself where it is fp32.
MaterialisedPlan forward_plan(const Program& program, const Operation& op) {
  return {head_layout(op, 0), program.type(op.ins[0]).dtype, rounds_probabilities(op), false};
}

template <class T, class P>
struct ForwardChunk {
  std::int64_t first, batch;
  float* scores;
  P* p;
  T* p_compute;
  CudaMatmul score_matmul, out_matmul;
};

template <class T, class P>
ForwardChunk<T, P> forward_chunk(const CudaBinding& binding, const MaterialisedPlan& plan, std::int64_t first) {
  const HeadLayout& l = plan.layout;
  const std::int64_t batch = std::min(plan.chunk, l.batch - first),
                     matrices = first * l.heads * l.sequence * l.sequence;
  P* const p = binding.out<P>(1) + matrices;
  T* const p_compute = binding.outs.size() > 2 ? binding.out<T>(2) + matrices : nullptr;
  float* scores = piece<float>(binding.workspace, plan.at.scores);
  if constexpr (std::is_same_v<P, float>) scores = p;
  const void* weights = p_compute;  // what meets v, of type T
  if (p_compute == nullptr) weights = std::is_same_v<T, float> ? static_cast<const void*>(scores) : p;
  const auto held = [&](std::int64_t at) { return binding.workspace + at; };
  return {first,
          batch,
          scores,
          p,
          p_compute,
          plan.matmul(binding, plan.scores_spec(), batch, held(plan.at.q), held(plan.at.k), scores),
          plan.matmul(binding, plan.rows_spec(), batch, weights, held(plan.at.v), held(plan.at.out))};
}

template <class T, class P>
CudaRun bind_forward(const CudaBinding& binding) {
  const AttentionRows rows = attention_rows(binding, 0, 3);
  const MaterialisedPlan plan = forward_plan(*binding.program, *binding.operation);
  const auto chunks = std::make_shared<std::vector<ForwardChunk<T, P>>>();
  for (std::int64_t first = 0; first < rows.layout.batch; first += plan.chunk)
    chunks->push_back(forward_chunk<T, P>(binding, plan, first));
  return [=, q = binding.in<const T>(0), k = binding.in<const T>(1), v = binding.in<const T>(2), o = binding.out<T>(0),
          workspace = binding.workspace, control = binding.control](const CudaIssue& issue) {
    const HeadLayout& l = rows.layout;
    const HeadView keys = packed_keys(l), keys_apart = apart(l, l.kv_heads), heads_apart = apart(l, l.heads);
    constexpr DType dtype = dtype_of<T>;
    for (const ForwardChunk<T, P>& chunk : *chunks) {
      const std::int64_t at = chunk.first * l.batch_stride;
      copy_heads(issue.stream, dtype, packed_queries(l), q + at, heads_apart, workspace + plan.at.q, rows.scale,
                 chunk.batch, l.heads, l);
      copy_heads(issue.stream, dtype, keys, k + at, keys_apart, workspace + plan.at.k, 1, chunk.batch, l.kv_heads, l);
      copy_heads(issue.stream, dtype, keys, v + at, keys_apart, workspace + plan.at.v, 1, chunk.batch, l.kv_heads, l);
      chunk.score_matmul.issue(issue.stream, false);
      launch(softmax_rows_kernel<T, P>, static_cast<unsigned>(chunk.batch * l.heads * l.sequence),
             threads_for_row(l.sequence), 0, issue.stream, rows, control, chunk.first, chunk.scores, chunk.p,
             chunk.p_compute);
      chunk.out_matmul.issue(issue.stream, false);
      copy_heads(issue.stream, dtype, heads_apart, workspace + plan.at.out, out_heads(l),
                 o + chunk.first * out_heads(l).batch_stride, 1, chunk.batch, l.heads, l);
    }
  };
}

}  // namespace

std::int64_t materialised_attention_cuda_workspace(const Program& program, const Operation& op) {
  return forward_plan(program, op).at.total_bytes;
}

CudaRun bind_materialised_attention_cuda(const CudaBinding& binding) {
  return dispatch_cuda(binding.in_dtype(0), [&]<class T>() {
    return dispatch_cuda(binding.out_type(1).dtype, [&]<class P>() { return bind_forward<T, P>(binding); });
  });
}

}  // namespace stepscope
