// Attention without tensor cores: a warp a row. It holds one row of scores in shared memory, so it is right for every mask,
// head width and type, and slow for long sequences: it takes what attention_flash_cuda.cu does not.
#include "model/operations/attention/attention_cuda.cuh"

#include "model/cuda/cudnn_attention.h"
#include "model/cuda/team.cuh"
#include "model/operations/attention/attention_body.h"
#include "model/operations/attention/attention_cudnn_cuda.cuh"
#include "model/operations/attention/attention_flash_cuda.cuh"
#include "model/operations/attention/attention_library.h"
#include "model/operations/attention/attention_rows.cuh"

namespace stepscope {

constexpr unsigned warps_a_block = 4, attention_threads = warps_a_block * warp_lanes;
constexpr std::int64_t attention_shared_limit = 227 << 10;

struct WarpRow {  // of which query or key a warp takes care
  std::int64_t b, head, row;
  bool present;
};
// Grid: rows by fours, heads, batch.
__device__ inline WarpRow warp_row(const HeadLayout& layout) {
  const std::int64_t row = std::int64_t{blockIdx.x} * warps_a_block + threadIdx.x / warp_lanes;
  return {blockIdx.z, blockIdx.y, row, row < layout.sequence};
}
__device__ inline float* warp_floats(std::int64_t floats_a_warp) {
  return dynamic_shared<float>() + threadIdx.x / warp_lanes * floats_a_warp;
}

// out [D] = sum over j of weights [j], rounded to T, times row j of `rows`.
template <class T>
__device__ void add_up_rows(const float* weights, std::int64_t count, const T* rows, std::int64_t stride,
                            std::int64_t width, T* out) {
  WarpTeam{}.for_each(width, [=](std::int64_t d) {
    float sum = 0;
    for (std::int64_t j = 0; j < count; ++j) sum += load(store<T>(weights[j])) * load(rows[j * stride + d]);
    out[d] = store<T>(sum);
  });
}

// Shared: S floats a warp.
template <class T>
__global__ void __launch_bounds__(attention_threads)
    attention_kernel(AttentionRows rows, const ControlBlock* control, const T* q, const T* k, const T* v, T* o,
                     float* lse) {
  const HeadLayout& l = rows.layout;
  const WarpRow at = warp_row(l);
  if (!at.present) return;
  const WarpTeam team;
  float* const p = warp_floats(l.sequence);
  const VisibleKeys keys = rows.mask.keys(at.b, at.head, at.row, control->micro_step);
  const T* const query = q + l.q_at(at.b, at.head, at.row);
  const std::int64_t first_key = l.kv_at(at.b, l.kv_head(at.head), 0);
  team.for_each(keys.count, [=](std::int64_t j) {
    p[j] = dot_row(ThreadTeam{}, query, k + first_key + j * l.row_stride, l.head_dim);
  });
  const float row_lse = softmax_row(team, p, keys, rows.scale, keys.count);
  round_probabilities(team, rows.probabilities, p, keys.count);
  __syncwarp();  // every lane reads all weights
  add_up_rows(p, keys.count, v + first_key, l.row_stride, l.head_dim, o + l.out_at(at.b, at.head, at.row));
  if (threadIdx.x % warp_lanes == 0) lse[l.statistic_at(at.b, at.head, at.row)] = row_lse;
}

// dq and delta. Shared: 2 S floats a warp.
template <class T>
__global__ void __launch_bounds__(attention_threads)
    attention_queries_kernel(AttentionRows rows, const ControlBlock* control, AttentionOperandsOnCard<T> x) {
  const HeadLayout& l = rows.layout;
  const WarpRow at = warp_row(l);
  if (!at.present) return;
  const WarpTeam team;
  float *const p = warp_floats(2 * l.sequence), *const ds = p + l.sequence;
  const VisibleKeys keys = rows.mask.keys(at.b, at.head, at.row, control->micro_step);
  const std::int64_t out_at = l.out_at(at.b, at.head, at.row), first_key = l.kv_at(at.b, l.kv_head(at.head), 0),
                     query_at = l.q_at(at.b, at.head, at.row), statistic = l.statistic_at(at.b, at.head, at.row);
  const T *const query = x.q + query_at, *const dout = x.dout + out_at;
  team.for_each(keys.count, [=](std::int64_t j) {
    p[j] = dot_row(ThreadTeam{}, query, x.k + first_key + j * l.row_stride, l.head_dim);
    ds[j] = dot_row(ThreadTeam{}, dout, x.v + first_key + j * l.row_stride, l.head_dim);
  });
  const float delta = dot_row(team, dout, x.o + out_at, l.head_dim);
  weights_row(team, p, keys, rows.scale, x.lse[statistic], keys.count);
  round_probabilities(team, rows.probabilities, p, keys.count);
  score_gradient_row(team, p, ds, rows.scale, delta, keys.count);
  __syncwarp();  // every lane reads all of ds
  add_up_rows(ds, keys.count, x.k + first_key, l.row_stride, l.head_dim, x.dqkv + l.q_offset + query_at);
  if (threadIdx.x % warp_lanes == 0) x.delta[statistic] = delta;
}

struct KeyGradients {  // what a warp holds of a key
  float *p, *ds;  // of 32 queries
  float *dk, *dv;  // [D]
  __device__ explicit KeyGradients(std::int64_t width)
      : p(warp_floats(2 * (warp_lanes + width))), ds(p + warp_lanes), dk(ds + warp_lanes), dv(dk + width) {}
};
[[nodiscard]] constexpr std::int64_t key_floats(std::int64_t width) { return 2 * (warp_lanes + width); }

// The present query's weight for the key, and its gradient: 0 where it does not see it.
template <class T>
__device__ void key_weight(const AttentionRows& rows, const AttentionOperandsOnCard<T>& x, std::int64_t micro_step,
                           const WarpRow& key, std::int64_t head, std::int64_t query, float* p, float* ds) {
  const HeadLayout& l = rows.layout;
  const VisibleKeys keys = rows.mask.keys(key.b, head, query, micro_step);
  *p = *ds = 0;
  if (key.row >= keys.count || (keys.custom != nullptr && keys.custom[key.row] == 0)) return;
  const std::int64_t key_at = l.kv_at(key.b, key.head, key.row), out_at = l.out_at(key.b, head, query),
                     statistic = l.statistic_at(key.b, head, query);
  const ThreadTeam one;
  const float score = dot_row(one, x.q + l.q_at(key.b, head, query), x.k + key_at, l.head_dim);
  float weight = exp_of(score * rows.scale - x.lse[statistic]);
  float gradient = dot_row(one, x.dout + out_at, x.v + key_at, l.head_dim);
  round_probabilities(one, rows.probabilities, &weight, 1);
  score_gradient_row(one, &weight, &gradient, rows.scale, x.delta[statistic], 1);
  *p = load(store<T>(weight));
  *ds = load(store<T>(gradient));
}

// dk and dv: a key's queries head by head, in their order. After dq, which makes delta.
template <class T>
__global__ void __launch_bounds__(attention_threads)
    attention_keys_kernel(AttentionRows rows, const ControlBlock* control, AttentionOperandsOnCard<T> x) {
  const HeadLayout& l = rows.layout;
  const WarpRow key = warp_row(l);
  if (!key.present) return;
  const WarpTeam team;
  const KeyGradients sums(l.head_dim);
  const std::int64_t lane = threadIdx.x % warp_lanes;
  team.for_each(l.head_dim, [=](std::int64_t d) { sums.dk[d] = sums.dv[d] = 0; });
  for (std::int64_t query_head = 0; query_head < l.queries; ++query_head) {
    const std::int64_t head = key.head * l.queries + query_head;
    for (std::int64_t first = l.causal ? key.row : 0; first < l.sequence; first += warp_lanes) {
      const std::int64_t rest = l.sequence - first, count = rest < warp_lanes ? rest : warp_lanes;
      if (lane < count)
        key_weight(rows, x, control->micro_step, key, head, first + lane, sums.p + lane, sums.ds + lane);
      __syncwarp();  // every lane reads the weights of all queries
      const T *const q = x.q + l.q_at(key.b, head, first), *const dout = x.dout + l.out_at(key.b, head, first);
      team.for_each(l.head_dim, [=](std::int64_t d) {
        for (std::int64_t i = 0; i < count; ++i) {
          sums.dv[d] += sums.p[i] * load(dout[i * l.out_stride() + d]);
          sums.dk[d] += sums.ds[i] * load(q[i * l.row_stride + d]);
        }
      });
      __syncwarp();  // before the next queries' weights
    }
  }
  T* const packed = x.dqkv + l.kv_at(key.b, key.head, key.row);
  round_row<T>(team, sums.dk, packed + l.k_offset, l.head_dim);
  round_row<T>(team, sums.dv, packed + l.v_offset, l.head_dim);
}

namespace {

dim3 attention_grid(const HeadLayout& layout, std::int64_t heads) {
  return {static_cast<unsigned>((layout.sequence + warps_a_block - 1) / warps_a_block), static_cast<unsigned>(heads),
          static_cast<unsigned>(layout.batch)};
}

template <class Kernel>
std::size_t shared_for(Kernel* kernel, std::int64_t floats_a_warp, std::int64_t sequence) {
  const std::int64_t bytes = warps_a_block * floats_a_warp * static_cast<std::int64_t>(sizeof(float));
  if (bytes > attention_shared_limit)
    throw Unsupported("CUDA: this attention holds a row of scores on chip, and a sequence of " +
                      std::to_string(sequence) + " is too long for that");
  allow_shared(kernel, bytes);
  return static_cast<std::size_t>(bytes);
}

template <class T>
CudaRun bind_attention(const CudaBinding& binding) {
  const AttentionRows rows = attention_rows(binding, 0, 3);
  const std::size_t shared = shared_for(attention_kernel<T>, rows.layout.sequence, rows.layout.sequence);
  const T *q = binding.in<const T>(0), *k = binding.in<const T>(1), *v = binding.in<const T>(2);
  T* o = binding.out<T>(0);
  float* lse = binding.out<float>(1);
  return [=, control = binding.control](const CudaIssue& issue) {
    launch(attention_kernel<T>, attention_grid(rows.layout, rows.layout.heads), attention_threads, shared, issue.stream,
           rows, control, q, k, v, o, lse);
  };
}

template <class T>
CudaRun bind_attention_gradient(const CudaBinding& binding) {
  const AttentionRows rows = attention_rows(binding, 1, 6);
  const HeadLayout& l = rows.layout;
  const std::size_t queries_shared = shared_for(attention_queries_kernel<T>, 2 * l.sequence, l.sequence),
                    keys_shared = shared_for(attention_keys_kernel<T>, key_floats(l.head_dim), l.sequence);
  const AttentionOperandsOnCard<T> x{binding.in<const T>(0), binding.in<const T>(1), binding.in<const T>(2),
                                     binding.in<const T>(3), binding.in<const T>(4), binding.in<const float>(5),
                                     binding.out<T>(0),      binding.out<float>(1)};
  return [=, control = binding.control](const CudaIssue& issue) {
    launch(attention_queries_kernel<T>, attention_grid(rows.layout, rows.layout.heads), attention_threads,
           queries_shared, issue.stream, rows, control, x);
    launch(attention_keys_kernel<T>, attention_grid(rows.layout, rows.layout.kv_heads), attention_threads, keys_shared,
           issue.stream, rows, control, x);
  };
}

}  // namespace

std::int64_t attention_cuda_workspace(const Program&, const Operation& op) {
  if (!by_library(op)) return 0;
  if (const std::string why = why_no_cudnn(); !why.empty()) throw Unsupported("attention_kernel = cudnn: " + why);
  return library_attention_workspace_bytes(op);
}

CudaRun bind_attention_cuda(const CudaBinding& binding) {
  if (by_library(*binding.operation)) return bind_cudnn_attention_cuda(binding);
  if (takes_flash_attention(binding, 0)) return bind_flash_attention_cuda(binding);
  return dispatch_cuda(binding.in_dtype(0), [&]<class T>() { return bind_attention<T>(binding); });
}

CudaRun bind_attention_gradient_cuda(const CudaBinding& binding) {
  if (by_library(*binding.operation)) return bind_cudnn_attention_gradient_cuda(binding);
  if (takes_flash_attention(binding, 1)) return bind_flash_attention_gradient_cuda(binding);
  return dispatch_cuda(binding.in_dtype(1), [&]<class T>() { return bind_attention_gradient<T>(binding); });
}

}  // namespace stepscope
