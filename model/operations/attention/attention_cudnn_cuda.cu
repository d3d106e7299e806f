// cuDNN's plans are made when a program is bound. Where rows are told their lengths a kernel before the calls copies those of the
// micro-step, which the card alone knows, and one behind them writes what cuDNN leaves: rows that see nothing, and no gradient of keys
// past a row's length.
#include "model/operations/attention/attention_cudnn_cuda.cuh"

#include <vector>

#include "model/cuda/cudnn_attention.h"
#include "model/cuda/team.cuh"
#include "model/operations/attention/attention.h"
#include "model/operations/attention/attention_library.h"
#include "model/operations/attention/attention_rows.cuh"

namespace stepscope {

constexpr unsigned lengths_threads = 128, rest_threads = 128;

// Of the row's tokens.
__device__ inline std::int64_t length_of(const AttentionRows& rows, const ControlBlock* control, std::int64_t b) {
  return rows.mask.keys(b, 0, rows.layout.sequence - 1, control->micro_step).count;
}

// [B] each: all queries of a row, its keys. A row without keys is given one, since cuDNN makes no numbers of none; what comes of it is
// overwritten.
__global__ void __launch_bounds__(lengths_threads)
    told_lengths_kernel(AttentionRows rows, const ControlBlock* control, std::int32_t* query_lengths,
                        std::int32_t* key_lengths) {
  const HeadLayout& l = rows.layout;
  BlockTeam{}.for_each(l.batch, [&](std::int64_t b) {
    const auto keys = static_cast<std::int32_t>(length_of(rows, control, b));
    query_lengths[b] = static_cast<std::int32_t>(l.sequence);
    key_lengths[b] = keys > 0 ? keys : 1;
  });
}

// As the calls lay lse out (attention_library.h).
__device__ inline std::int64_t statistic_of_calls(const HeadLayout& l, std::int64_t b, std::int64_t head,
                                                  std::int64_t row) {
  if (l.queries == 1) return l.statistic_at(b, head, row);
  return ((l.kv_head(head) * l.batch + b) * l.queries + head % l.queries) * l.sequence + row;
}

// o and lse of rows that see nothing. Grid: S, B.
template <class T>
__global__ void __launch_bounds__(rest_threads)
    unseen_rows_kernel(AttentionRows rows, const ControlBlock* control, T* o, float* lse) {
  const HeadLayout& l = rows.layout;
  const std::int64_t b = blockIdx.y, row = blockIdx.x;
  if (length_of(rows, control, b) > 0) return;
  const BlockTeam team;
  zero_row(team, o + l.out_at(b, 0, row), l.heads * l.head_dim);
  team.for_each(l.heads, [=](std::int64_t head) { lse[statistic_of_calls(l, b, head, row)] = -INFINITY; });
}

// dk and dv past a row's length, and dq where that is 0. Grid: S, B.
template <class T>
__global__ void __launch_bounds__(rest_threads)
    hidden_keys_kernel(AttentionRows rows, const ControlBlock* control, T* dqkv) {
  const HeadLayout& l = rows.layout;
  const std::int64_t b = blockIdx.y, row = blockIdx.x, length = length_of(rows, control, b);
  if (row < length) return;
  const BlockTeam team;
  for (std::int64_t kv_head = 0; kv_head < l.kv_heads; ++kv_head) {
    T* const group = dqkv + l.kv_at(b, kv_head, row);
    zero_row(team, group + l.k_offset, l.head_dim);
    zero_row(team, group + l.v_offset, l.head_dim);
    if (length == 0) zero_row(team, group + l.q_offset, l.queries * l.head_dim);
  }
}

namespace {

int compute_capability() {
  cudaDeviceProp properties{};
  int card = 0;
  STEPSCOPE_CUDA(cudaGetDevice(&card));
  STEPSCOPE_CUDA(cudaGetDeviceProperties(&properties, card));
  return properties.major * 10 + properties.minor;
}

CudnnAttentionShape shape_of_rows(const CudaBinding& binding, int first) {
  const HeadLayout l = head_layout(*binding.operation, first);
  return {.batch = l.batch,
          .sequence = l.sequence,
          .kv_heads = l.kv_heads,
          .queries = l.queries,
          .head_dim = l.head_dim,
          .dtype = binding.in_dtype(first),
          .causal = l.causal,
          .lengths = tells_lengths(*binding.operation),
          .scale = binding.operation->attributes.scale};
}

CudnnOperands workspace_of(const CudaBinding& binding) {
  const std::int64_t lengths = lengths_bytes(*binding.operation);
  CudnnOperands operands{.workspace = binding.workspace + lengths,
                         .workspace_bytes = binding.operation->workspace_bytes - lengths};
  if (lengths > 0) {
    operands.query_lengths = binding.workspace;
    operands.key_lengths = binding.workspace + lengths / 2;
  }
  return operands;
}

struct Calls {  // of an operation
  AttentionRows rows;
  const ControlBlock* control;
  std::int32_t *query_lengths, *key_lengths;  // null: none are told
  bool padded;
  std::vector<CudnnRun> calls;

  Calls(const CudaBinding& binding, int first, int masks)
      : rows(attention_rows(binding, first, masks)),
        control(binding.control),
        query_lengths(static_cast<std::int32_t*>(workspace_of(binding).query_lengths)),
        key_lengths(static_cast<std::int32_t*>(workspace_of(binding).key_lengths)),
        padded(binding.operation->attributes.mask.padding) {}

  void issue(cudaStream_t stream) const {
    if (key_lengths != nullptr)
      launch(told_lengths_kernel, 1, lengths_threads, 0, stream, rows, control, query_lengths, key_lengths);
    for (const CudnnRun& call : calls) call(stream);
  }
  [[nodiscard]] dim3 each_row() const {
    return {static_cast<unsigned>(rows.layout.sequence), static_cast<unsigned>(rows.layout.batch)};
  }
};

template <class T>
CudaRun bind_cudnn_forward(const CudaBinding& binding) {
  Calls calls(binding, 0, 3);
  const HeadLayout& l = calls.rows.layout;
  const CudnnAttentionShape shape = shape_of_rows(binding, 0);
  T* const o = binding.out<T>(0);
  float* const lse = binding.out<float>(1);
  for (std::int64_t call = 0; call < shape.calls(); ++call) {
    const std::int64_t packed = call * l.group_stride;
    CudnnOperands at = workspace_of(binding);
    at.q = binding.in<const T>(0) + packed;
    at.k = binding.in<const T>(1) + packed;
    at.v = binding.in<const T>(2) + packed;
    at.o = o + call * l.queries * l.head_dim;
    at.lse = lse + call * l.batch * l.queries * l.sequence;
    calls.calls.push_back(binding.cudnn->bind(shape, CudnnPass::forward, compute_capability(), at));
  }
  return [=](const CudaIssue& issue) {
    calls.issue(issue.stream);
    if (calls.padded)
      launch(unseen_rows_kernel<T>, calls.each_row(), rest_threads, 0, issue.stream, calls.rows, calls.control, o, lse);
  };
}

template <class T>
CudaRun bind_cudnn_backward(const CudaBinding& binding) {
  Calls calls(binding, 1, 6);
  const HeadLayout& l = calls.rows.layout;
  const CudnnAttentionShape shape = shape_of_rows(binding, 1);
  T* const dqkv = binding.out<T>(0);
  for (std::int64_t call = 0; call < shape.calls(); ++call) {
    const std::int64_t packed = call * l.group_stride, out = call * l.queries * l.head_dim;
    CudnnOperands at = workspace_of(binding);
    at.dout = binding.in<const T>(0) + out;
    at.q = binding.in<const T>(1) + packed;
    at.k = binding.in<const T>(2) + packed;
    at.v = binding.in<const T>(3) + packed;
    at.o = binding.in<T>(4) + out;
    at.lse = binding.in<float>(5) + call * l.batch * l.queries * l.sequence;
    at.dq = dqkv + packed + l.q_offset;
    at.dk = dqkv + packed + l.k_offset;
    at.dv = dqkv + packed + l.v_offset;
    calls.calls.push_back(binding.cudnn->bind(shape, CudnnPass::backward, compute_capability(), at));
  }
  return [=](const CudaIssue& issue) {
    calls.issue(issue.stream);
    if (calls.padded)
      launch(hidden_keys_kernel<T>, calls.each_row(), rest_threads, 0, issue.stream, calls.rows, calls.control, dqkv);
  };
}

}  // namespace

CudaRun bind_cudnn_attention_cuda(const CudaBinding& binding) {
  return binding.in_dtype(0) == DType::fp16 ? bind_cudnn_forward<fp16>(binding) : bind_cudnn_forward<bf16>(binding);
}
CudaRun bind_cudnn_attention_gradient_cuda(const CudaBinding& binding) {
  return binding.in_dtype(1) == DType::fp16 ? bind_cudnn_backward<fp16>(binding) : bind_cudnn_backward<bf16>(binding);
}

}  // namespace stepscope
