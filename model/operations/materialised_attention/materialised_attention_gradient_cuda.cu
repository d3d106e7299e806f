// Backward: 8 S S D FLOPs a head in four matmuls. Moves, a head: dp (4 S S bytes) written and read, p (4 S S) read, ds (2 S S)
// written and read twice, p_compute (2 S S) read; q, k, v, do and their gradients twice. 2 D / 5 FLOPs for each byte: bound by
// bytes.
#include <memory>

#include "model/cuda/team.cuh"
#include "model/operations/attention/attention.h"
#include "model/operations/materialised_attention/materialised_attention_body.h"
#include "model/operations/materialised_attention/materialised_attention_cuda.cuh"

namespace stepscope {

namespace {
enum MaterialisedIn {
  materialised_do,
  materialised_q,
  materialised_k,
  materialised_v,
  materialised_p,
  materialised_p_compute
};
}

// A block takes a row of dp and makes ds of it, and the weights in fp32 where p is narrow and is multiplied so.
template <class T, class P>
__global__ void softmax_gradient_rows_kernel(const P* p, const float* dp, T* ds, float* weights, std::int64_t sequence,
                                             bool causal) {
  const std::int64_t at = std::int64_t{blockIdx.x} * sequence, s = blockIdx.x % sequence;
  const BlockTeam team;
  softmax_gradient_row(team, p + at, dp + at, ds + at, causal ? s + 1 : sequence, sequence);
  if (weights != nullptr) team.for_each(sequence, [=](std::int64_t j) { weights[at + j] = load(p[at + j]); });
}

namespace {

bool widens_weights(const Program& program, const Operation& op) {
  return rounds_probabilities(op) && program.type(op.ins[materialised_q]).dtype == DType::fp32;
}

MaterialisedPlan backward_plan(const Program& program, const Operation& op) {
  return {head_layout(op, materialised_q), program.type(op.ins[materialised_q]).dtype, true,
          widens_weights(program, op)};
}

// In their order: dp = do v^T; ds; dv = weights^T do, over v; dqs = ds k, over do; dk = ds^T qs, over k.
template <class T, class P>
struct BackwardChunk {
  std::int64_t first, batch;
  const P* p;
  float* dp;
  T* ds;
  float* weights;
  CudaMatmul dp_matmul, dv_matmul, dq_matmul, dk_matmul;
};

template <class T, class P>
BackwardChunk<T, P> backward_chunk(const CudaBinding& binding, const MaterialisedPlan& plan, std::int64_t first) {
  const HeadLayout& l = plan.layout;
  const std::int64_t batch = std::min(plan.chunk, l.batch - first),
                     matrices = first * l.heads * l.sequence * l.sequence;
  const auto held = [&](std::int64_t at) { return binding.workspace + at; };
  const P* const p = binding.in<const P>(materialised_p) + matrices;
  T* const ds = binding.out<T>(1) + matrices;
  auto* const dp = reinterpret_cast<float*>(held(plan.at.scores));
  float* const wide =
      widens_weights(*binding.program, *binding.operation) ? reinterpret_cast<float*>(held(plan.at.weights)) : nullptr;
  const void* weights = wide != nullptr ? static_cast<const void*>(wide) : p;
  if (binding.ins.size() > materialised_p_compute) weights = binding.in<const T>(materialised_p_compute) + matrices;
  std::byte *const qs = held(plan.at.q), *const k = held(plan.at.k), *const v = held(plan.at.v),
                   *const dout = held(plan.at.out);
  return {first,
          batch,
          p,
          dp,
          ds,
          wide,
          plan.matmul(binding, plan.scores_spec(), batch, dout, v, dp),
          plan.matmul(binding, plan.columns_spec(), batch, weights, dout, v),
          plan.matmul(binding, plan.rows_spec(), batch, ds, k, dout),
          plan.matmul(binding, plan.columns_spec(), batch, ds, qs, k)};
}

template <class T, class P>
CudaRun bind_backward(const CudaBinding& binding) {
  const HeadLayout layout = head_layout(*binding.operation, materialised_q);
  const MaterialisedPlan plan = backward_plan(*binding.program, *binding.operation);
  const auto chunks = std::make_shared<std::vector<BackwardChunk<T, P>>>();
  for (std::int64_t first = 0; first < layout.batch; first += plan.chunk)
    chunks->push_back(backward_chunk<T, P>(binding, plan, first));
  return [=, dout = binding.in<const T>(materialised_do), q = binding.in<const T>(materialised_q),
          k = binding.in<const T>(materialised_k), v = binding.in<const T>(materialised_v), dqkv = binding.out<T>(0),
          workspace = binding.workspace,
          scale = static_cast<float>(binding.operation->attributes.scale)](const CudaIssue& issue) {
    const HeadLayout& l = layout;
    const HeadView queries = packed_queries(l), keys = packed_keys(l), outs = out_heads(l),
                   heads_apart = apart(l, l.heads), keys_apart = apart(l, l.kv_heads);
    const HeadCopies& held = plan.at;
    for (const BackwardChunk<T, P>& chunk : *chunks) {
      const auto heads = [&](const HeadView& from_view, const void* from, const HeadView& to_view, void* to,
                             float factor, std::int64_t count) {
        copy_heads(issue.stream, dtype_of<T>, from_view, from, to_view, to, factor, chunk.batch, count, l);
      };
      const std::int64_t at = chunk.first * l.batch_stride;
      heads(queries, q + at, heads_apart, workspace + held.q, scale, l.heads);
      heads(keys, k + at, keys_apart, workspace + held.k, 1, l.kv_heads);
      heads(keys, v + at, keys_apart, workspace + held.v, 1, l.kv_heads);
      heads(outs, dout + chunk.first * outs.batch_stride, heads_apart, workspace + held.out, 1, l.heads);
      chunk.dp_matmul.issue(issue.stream, false);
      launch(softmax_gradient_rows_kernel<T, P>, static_cast<unsigned>(chunk.batch * l.heads * l.sequence),
             threads_for_row(l.sequence), 0, issue.stream, chunk.p, chunk.dp, chunk.ds, chunk.weights, l.sequence,
             l.causal);
      chunk.dv_matmul.issue(issue.stream, false);
      chunk.dq_matmul.issue(issue.stream, false);
      chunk.dk_matmul.issue(issue.stream, false);
      heads(heads_apart, workspace + held.out, queries, dqkv + at + l.q_offset, scale, l.heads);
      heads(keys_apart, workspace + held.k, keys, dqkv + at + l.k_offset, 1, l.kv_heads);
      heads(keys_apart, workspace + held.v, keys, dqkv + at + l.v_offset, 1, l.kv_heads);
    }
  };
}

}  // namespace

std::int64_t materialised_attention_gradient_cuda_workspace(const Program& program, const Operation& op) {
  return backward_plan(program, op).at.total_bytes;
}

CudaRun bind_materialised_attention_gradient_cuda(const CudaBinding& binding) {
  return dispatch_cuda(binding.in_dtype(materialised_q), [&]<class T>() {
    return dispatch_cuda(binding.in_dtype(materialised_p), [&]<class P>() { return bind_backward<T, P>(binding); });
  });
}

}  // namespace stepscope
