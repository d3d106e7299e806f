// o and lse on tensor cores. Of S queries and keys with D features a head has 4 S S D FLOPs, with a causal mask half as many
// and a tile's more. Moves, a head: q once, o written once, k and v once for each Q queries, most of them from the second
// cache: S / 2 FLOPs for each byte of memory, Q for each of that cache. Bound by FLOPs where S is some hundreds.
//     s = scale q k^T     m' = max(m, s)     l = l 2^(m - m') + sum of 2^(s - m')     o = o 2^(m - m') + 2^(s - m') v
// in powers of 2: scale is multiplied by log2 e. At the end o / l and lse = m ln 2 + log l. Where nothing is seen yet, m is
// -inf.
#include "model/operations/attention/attention_flash_cuda.cuh"

#include "model/operations/attention/attention.h"

namespace stepscope {

template <class T, int D>
struct FlashForward {
  static constexpr int rows_a_warp = D == 64 ? 2 : 1;  // times 16
  static constexpr int queries = 16 * rows_a_warp * flash_warps, keys = D == 64 ? 32 : 64;
  using Rows = TileRows<T, D>;
  static constexpr int shared_bytes = 4 * Rows::bytes(keys);  // k and v, twice

  using Scores = RowSums<keys / 8>;
  using Sums = RowSums<D / 8>;

  struct Row {  // two of each 16
    float most[2] = {-INFINITY, -INFINITY}, total[2] = {0, 0};
  };

  // Scores become weights over the maximum so far, and what was summed before is brought to that maximum.
  // The lane's share of the total is its own until the end.
  __device__ __forceinline__ static void weigh(Scores& s, Sums& o, Row& row, float scale) {
    STEPSCOPE_UNROLL
    for (int h = 0; h < 2; ++h) {
      float most = row.most[h];
      STEPSCOPE_UNROLL
      for (int i = 0; i < keys / 4; ++i) {
        float& x = s.at[i / 2][2 * h + i % 2];
        x *= scale;
        most = max_of(x, most);
      }
      most = combine_quad(most, max_of<float>);
      const float base = most == -INFINITY ? 0.0f : most;
      const float shrink = power_of_2(row.most[h] - base);
      float sum = 0;
      STEPSCOPE_UNROLL
      for (int i = 0; i < keys / 4; ++i) {
        float& x = s.at[i / 2][2 * h + i % 2];
        x = power_of_2(x - base);
        sum += x;
      }
      row.total[h] = row.total[h] * shrink + sum;
      row.most[h] = most;
      STEPSCOPE_UNROLL
      for (int i = 0; i < D / 4; ++i) o.at[i / 2][2 * h + i % 2] *= shrink;
    }
  }
};

// Grid: tiles of queries, the last ones first, since a causal mask gives those the most keys; heads; batch.
template <class T, int D>
__global__ void __launch_bounds__(flash_threads, 2)
    flash_attention_kernel(AttentionRows rows, const ControlBlock* control, const T* q, const T* k, const T* v, T* o,
                           float* lse) {
  using F = FlashForward<T, D>;
  constexpr int M = F::rows_a_warp, warp_queries = 16 * M;
  const HeadLayout& l = rows.layout;
  const int S = static_cast<int>(l.sequence), warp = static_cast<int>(threadIdx.x) / warp_lanes;
  const int block_first = static_cast<int>(gridDim.x - 1 - blockIdx.x) * F::queries;
  const int first_row = block_first + warp * warp_queries, row = first_row + quad_row();
  const std::int64_t b = blockIdx.z, head = blockIdx.y;
  const TileMask mask{rows.mask, b, head, control->micro_step, S};
  const bool custom = rows.mask.has_custom();
  const int fewest = mask.count(first_row), most = mask.count(first_row + warp_queries - 1);  // keys of the warp's rows
  const int tiles = (mask.count(block_first + F::queries - 1) + F::keys - 1) / F::keys;
  const float scale = rows.scale * log2_of_e;

  const std::int64_t keys_at = l.kv_at(b, l.kv_head(head), 0);
  const typename F::Rows memory{shared_address(dynamic_shared<T>())};
  const auto keys_of = [&](int stage) { return memory.from(2 * stage * F::keys); };
  const auto values_of = [&](int stage) { return memory.from((2 * stage + 1) * F::keys); };
  const auto fetch = [&](int tile, int stage) {
    const std::int64_t at = keys_at + std::int64_t{tile} * F::keys * l.row_stride;
    fetch_rows<F::keys, flash_threads>(keys_of(stage), k + at, l.row_stride, S - tile * F::keys);
    fetch_rows<F::keys, flash_threads>(values_of(stage), v + at, l.row_stride, S - tile * F::keys);
  };
  const auto bits_of = [&](int tile, int m) { return seen_by_rows<F::keys / 8>(mask, row + 16 * m, tile * F::keys); };
  const auto seek = [&](int tile) {  // from it on the first of which the block sees anything
    if (!custom) return tile;
    for (; tile < tiles; ++tile) {
      unsigned bits = 0;
      STEPSCOPE_UNROLL
      for (int m = 0; m < M; ++m) bits |= bits_of(tile, m);
      if (any_of_block(bits != 0)) break;
    }
    return tile;
  };

  LeftRows<D / 16> query[M];
  STEPSCOPE_UNROLL
  for (int m = 0; m < M; ++m) {
    const int at = row + 16 * m;
    load_left(query[m], q + l.q_at(b, head, at < S ? at : S - 1), q + l.q_at(b, head, at + 8 < S ? at + 8 : S - 1));
  }
  typename F::Sums sums[M] = {};
  typename F::Row statistics[M];

  int tile = seek(0), stage = 0;
  if (tile < tiles) fetch(tile, stage);
  while (tile < tiles) {
    wait_for_copies();
    __syncthreads();  // the tile is there, and the one before it was read by all
    const int next = seek(tile + 1), first_key = tile * F::keys;
    if (next < tiles) fetch(next, 1 - stage);
    if (first_key < most) {
      typename F::Scores scores[M] = {};
      add_times_rows<T>(scores, query, keys_of(stage));
      const bool whole = !custom && first_key + F::keys <= fewest;
      STEPSCOPE_UNROLL
      for (int m = 0; m < M; ++m) {
        if (!whole) hide(scores[m], bits_of(tile, m));
        F::weigh(scores[m], sums[m], statistics[m], scale);
      }
      LeftRows<F::keys / 16> weights[M];
      STEPSCOPE_UNROLL
      for (int m = 0; m < M; ++m) weights[m] = left_of<T>(scores[m]);
      add_product<T>(sums, weights, values_of(stage));
    }
    tile = next;
    stage = 1 - stage;
  }

  STEPSCOPE_UNROLL
  for (int m = 0; m < M; ++m) STEPSCOPE_UNROLL
  for (int h = 0; h < 2; ++h) {
    const int at = row + 16 * m + 8 * h;
    const float total = combine_quad(statistics[m].total[h], [](float a, float c) { return a + c; });
    if (at >= S) continue;
    const float share = total == 0 ? 0.0f : 1.0f / total;
    T* const to = o + l.out_at(b, head, at) + 2 * quad_lane();
    STEPSCOPE_UNROLL
    for (int n = 0; n < D / 8; ++n)
      *reinterpret_cast<std::uint32_t*>(to + 8 * n) =
          two_of<T>(sums[m].at[n][2 * h] * share, sums[m].at[n][2 * h + 1] * share);
    if (quad_lane() == 0)
      lse[l.statistic_at(b, head, at)] = total == 0 ? -INFINITY : statistics[m].most[h] * ln_of_2 + log_of(total);
  }
}

bool takes_flash_attention(const CudaBinding& binding, int first) {
  const Operation& op = *binding.operation;
  const HeadLayout l = head_layout(op, first);
  const DType dtype = binding.in_dtype(first);
  if (dtype != DType::bf16 && dtype != DType::fp16) return false;
  if (l.head_dim != 64 && l.head_dim != 128) return false;
  if (!(op.attributes.scale > 0)) return false;  // hidden scores are -inf before they are scaled
  if (rounds_probabilities(op) && op.attributes.probabilities != dtype) return false;
  for (const std::int64_t stride : {l.batch_stride, l.row_stride, l.group_stride})
    if (stride % 8 != 0) return false;
  const auto aligned = [](const std::byte* at) { return reinterpret_cast<std::uintptr_t>(at) % 16 == 0; };
  const int numbers = first == 0 ? 3 : 5;  // q, k, v; of the gradient do, q, k, v, o
  for (int i = 0; i < numbers; ++i)
    if (!aligned(binding.ins[static_cast<std::size_t>(i)])) return false;
  return aligned(binding.outs[0]);
}

namespace {

template <class T, int D>
CudaRun bind_flash(const CudaBinding& binding) {
  using F = FlashForward<T, D>;
  static_assert(two_blocks_fit(F::shared_bytes));
  const AttentionRows rows = attention_rows(binding, 0, 3);
  const HeadLayout& l = rows.layout;
  allow_shared(flash_attention_kernel<T, D>, F::shared_bytes);
  const dim3 grid(static_cast<unsigned>((l.sequence + F::queries - 1) / F::queries), static_cast<unsigned>(l.heads),
                  static_cast<unsigned>(l.batch));
  return [=, control = binding.control, q = binding.in<const T>(0), k = binding.in<const T>(1),
          v = binding.in<const T>(2), o = binding.out<T>(0), lse = binding.out<float>(1)](const CudaIssue& issue) {
    launch(flash_attention_kernel<T, D>, grid, flash_threads, F::shared_bytes, issue.stream, rows, control, q, k, v, o,
           lse);
  };
}

}  // namespace

CudaRun bind_flash_attention_cuda(const CudaBinding& binding) {
  return dispatch_flash(binding.in_dtype(0), binding.operation->attributes.head_dim,
                        [&]<class T, int D>() { return bind_flash<T, D>(binding); });
}

}  // namespace stepscope
