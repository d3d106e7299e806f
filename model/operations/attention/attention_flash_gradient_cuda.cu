// dq, dk, dv on tensor cores, in two kernels, so that each sum has one owner and one order:
//     p = 2^(s log2 e - lse log2 e)     ds = scale p (do v^T - delta)     delta = sum over D of do o, made by the first
//     queries:  dq = ds k                          6 S S D FLOPs a head
//     keys:     dv = p^T do, dk = ds^T q           8 S S D FLOPs; query heads of a kv head follow one another
// Scores of the second are made the other way round, keys by queries, so that their sums are left operands as they are.
// Fourteen S S D where one pass with atomics needs ten, half with a causal mask. Moves, a head: q, k, v, do, o once and their
// gradients, k and v again for each 64 queries, q and do for each 64 keys, most of them from the second cache. Bound by FLOPs,
// as forward.
#include "model/operations/attention/attention_flash_cuda.cuh"

namespace stepscope {

// What s (-inf where hidden) and dp = do v^T become: p and ds. lse (in powers of 2) and delta are those of the sum's query.
struct ScoreGradients {
  float scale, scale_of_2;
  bool rounds;  // p, before ds is made of it

  template <class T>
  __device__ __forceinline__ void operator()(float& s, float& dp, float lse, float delta) const {
    float p = power_of_2(s * scale_of_2 - lse);
    if (rounds) p = low_of<T>(two_of<T>(p, 0.0f));
    s = p;
    dp = p == 0 ? 0.0f : scale * (p * (dp - delta));
  }
};

// In powers of 2; of a query that sees nothing any number, so that its weights are 2^-inf.
__device__ __forceinline__ float lse_of_2(float lse) { return lse == -INFINITY ? 0.0f : lse * log2_of_e; }

template <class T, int D>
struct FlashQueries {
  static constexpr int queries = 16 * flash_warps, keys = D == 64 ? 64 : 32;
  using Rows = TileRows<T, D>;
  static constexpr int shared_bytes = 4 * Rows::bytes(keys);  // k and v, twice
};

// sum over D of do o for rows g and g + 8 of the warp's.
template <class T, int D>
__device__ __forceinline__ void row_deltas(const LeftRows<D / 16>& dout, const T* o_g, const T* o_g8,
                                           float (&delta)[2]) {
  STEPSCOPE_UNROLL
  for (int h = 0; h < 2; ++h) {
    delta[h] = 0;
    STEPSCOPE_UNROLL
    for (int i = 0; i < D / 8; ++i) {
      const std::uint32_t a = dout.at[i / 2][i % 2 * 2 + h],
                          o = two_at((h == 0 ? o_g : o_g8) + 8 * i + 2 * quad_lane());
      delta[h] += low_of<T>(a) * low_of<T>(o) + high_of<T>(a) * high_of<T>(o);
    }
    delta[h] = combine_quad(delta[h], [](float a, float c) { return a + c; });
  }
}

template <class T, int D>
__device__ __forceinline__ void store_rows(const RowSums<D / 8>& sums, T* to, std::int64_t stride, int rows) {
  STEPSCOPE_UNROLL
  for (int h = 0; h < 2; ++h) {
    const int row = quad_row() + 8 * h;
    if (row >= rows) continue;
    STEPSCOPE_UNROLL
    for (int n = 0; n < D / 8; ++n)
      *reinterpret_cast<std::uint32_t*>(to + row * stride + 8 * n + 2 * quad_lane()) =
          two_of<T>(sums.at[n][2 * h], sums.at[n][2 * h + 1]);
  }
}

// dq and delta. Grid as forward.
template <class T, int D>
__global__ void __launch_bounds__(flash_threads, 2)
    flash_queries_kernel(AttentionRows rows, const ControlBlock* control, AttentionOperandsOnCard<T> x) {
  using F = FlashQueries<T, D>;
  const HeadLayout& l = rows.layout;
  const int S = static_cast<int>(l.sequence), warp = static_cast<int>(threadIdx.x) / warp_lanes;
  const int block_first = static_cast<int>(gridDim.x - 1 - blockIdx.x) * F::queries;
  const int first_row = block_first + 16 * warp, row = first_row + quad_row();
  const std::int64_t b = blockIdx.z, head = blockIdx.y;
  const TileMask mask{rows.mask, b, head, control->micro_step, S};
  const bool custom = rows.mask.has_custom();
  const int fewest = mask.count(first_row), most = mask.count(first_row + 15);
  const int tiles = (mask.count(block_first + F::queries - 1) + F::keys - 1) / F::keys;
  const ScoreGradients gradients{rows.scale, rows.scale * log2_of_e, size_bytes(rows.probabilities) < 4};

  const std::int64_t keys_at = l.kv_at(b, l.kv_head(head), 0);
  const typename F::Rows memory{shared_address(dynamic_shared<T>())};
  const auto keys_of = [&](int stage) { return memory.from(2 * stage * F::keys); };
  const auto values_of = [&](int stage) { return memory.from((2 * stage + 1) * F::keys); };
  const auto fetch = [&](int tile, int stage) {
    const std::int64_t at = keys_at + std::int64_t{tile} * F::keys * l.row_stride;
    fetch_rows<F::keys, flash_threads>(keys_of(stage), x.k + at, l.row_stride, S - tile * F::keys);
    fetch_rows<F::keys, flash_threads>(values_of(stage), x.v + at, l.row_stride, S - tile * F::keys);
  };
  const auto bits_of = [&](int tile) { return seen_by_rows<F::keys / 8>(mask, row, tile * F::keys); };
  const auto seek = [&](int tile) {
    while (custom && tile < tiles && !any_of_block(bits_of(tile) != 0)) ++tile;
    return tile;
  };

  const int row_g = row < S ? row : S - 1, row_g8 = row + 8 < S ? row + 8 : S - 1;
  LeftRows<D / 16> query[1], dout[1];
  load_left(query[0], x.q + l.q_at(b, head, row_g), x.q + l.q_at(b, head, row_g8));
  load_left(dout[0], x.dout + l.out_at(b, head, row_g), x.dout + l.out_at(b, head, row_g8));
  float delta[2];
  row_deltas<T, D>(dout[0], x.o + l.out_at(b, head, row_g), x.o + l.out_at(b, head, row_g8), delta);
  const float lse[2] = {lse_of_2(x.lse[l.statistic_at(b, head, row_g)]),
                        lse_of_2(x.lse[l.statistic_at(b, head, row_g8)])};
  RowSums<D / 8> dq[1] = {};

  int tile = seek(0), stage = 0;
  if (tile < tiles) fetch(tile, stage);
  while (tile < tiles) {
    wait_for_copies();
    __syncthreads();  // the tile is there, and the one before it was read by all
    const int next = seek(tile + 1), first_key = tile * F::keys;
    if (next < tiles) fetch(next, 1 - stage);
    if (first_key < most) {
      RowSums<F::keys / 8> scores[1] = {}, dp[1] = {};
      add_times_rows<T>(scores, query, keys_of(stage));
      add_times_rows<T>(dp, dout, values_of(stage));
      if (custom || first_key + F::keys > fewest) hide(scores[0], bits_of(tile));
      STEPSCOPE_UNROLL
      for (int i = 0; i < F::keys / 2; ++i)
        gradients.template operator()<T>(scores[0].at[i / 4][i % 4], dp[0].at[i / 4][i % 4], lse[i % 4 / 2],
                                         delta[i % 4 / 2]);
      const LeftRows<F::keys / 16> ds[1] = {left_of<T>(dp[0])};
      add_product<T>(dq, ds, keys_of(stage));
    }
    tile = next;
    stage = 1 - stage;
  }
  store_rows<T, D>(dq[0], x.dqkv + l.q_offset + l.q_at(b, head, first_row), l.row_stride, S - first_row);
  if (quad_lane() != 0) return;
  if (row < S) x.delta[l.statistic_at(b, head, row)] = delta[0];
  if (row + 8 < S) x.delta[l.statistic_at(b, head, row + 8)] = delta[1];
}

template <class T, int D>
struct FlashKeys {
  static constexpr int keys = 16 * flash_warps, queries = D == 64 ? 64 : 32;
  using Rows = TileRows<T, D>;
  static constexpr int tiles_bytes = Rows::bytes(2 * keys + 4 * queries);  // k, v; q and do, twice
  static constexpr int shared_bytes = tiles_bytes + 4 * queries * static_cast<int>(sizeof(float));  // lse, delta, twice
};

// dk and dv, after delta. Grid: tiles of keys, the first ones first, since a causal mask gives those the most queries; kv
// heads; batch.
template <class T, int D>
__global__ void __launch_bounds__(flash_threads, 2)
    flash_keys_kernel(AttentionRows rows, const ControlBlock* control, AttentionOperandsOnCard<T> x) {
  using F = FlashKeys<T, D>;
  const HeadLayout& l = rows.layout;
  const int S = static_cast<int>(l.sequence), warp = static_cast<int>(threadIdx.x) / warp_lanes;
  const int block_first = static_cast<int>(blockIdx.x) * F::keys, first_key = block_first + 16 * warp;
  const std::int64_t b = blockIdx.z, kv_head = blockIdx.y, micro_step = control->micro_step;
  const bool custom = rows.mask.has_custom();
  const ScoreGradients gradients{rows.scale, rows.scale * log2_of_e, size_bytes(rows.probabilities) < 4};
  const auto mask_of = [&](int head) { return TileMask{rows.mask, b, kv_head * l.queries + head, micro_step, S}; };

  // A step is a tile of queries of a head. With a causal mask those before the block's keys see none of them.
  const int first_tile = l.causal ? block_first / F::queries : 0;
  const int tiles = (S + F::queries - 1) / F::queries - first_tile;
  const int steps = mask_of(0).count(S - 1) > block_first ? tiles * static_cast<int>(l.queries) : 0;
  const auto head_of = [&](int step) { return step / tiles; };
  const auto query_of = [&](int step) { return (first_tile + step % tiles) * F::queries; };

  const typename F::Rows memory{shared_address(dynamic_shared<T>())};
  const auto keys = memory, values = memory.from(F::keys);
  const auto queries_of = [&](int stage) { return memory.from(2 * F::keys + 2 * stage * F::queries); };
  const auto douts_of = [&](int stage) { return memory.from(2 * F::keys + (2 * stage + 1) * F::queries); };
  float* const statistics = dynamic_shared<float>() + F::tiles_bytes / static_cast<int>(sizeof(float));
  const auto lse_of = [&](int stage) { return statistics + 2 * stage * F::queries; };
  const auto fetch = [&](int step, int stage) {
    const int query = query_of(step), mine = static_cast<int>(threadIdx.x);
    const std::int64_t head = kv_head * l.queries + head_of(step);
    fetch_rows<F::queries, flash_threads>(queries_of(stage), x.q + l.q_at(b, head, query), l.row_stride, S - query);
    fetch_rows<F::queries, flash_threads>(douts_of(stage), x.dout + l.out_at(b, head, query), l.out_stride(),
                                          S - query);
    if (mine >= F::queries) return;
    const bool present = query + mine < S;
    const std::int64_t at = l.statistic_at(b, head, present ? query + mine : S - 1);
    lse_of(stage)[mine] = lse_of_2(x.lse[at]);
    lse_of(stage)[F::queries + mine] = x.delta[at];
  };
  const auto bits_of = [&](int step) {
    return seen_by_columns<F::queries / 8>(mask_of(head_of(step)), first_key + quad_row(), query_of(step));
  };
  const auto seek = [&](int step) {
    while (custom && step < steps && !any_of_block(bits_of(step) != 0)) ++step;
    return step;
  };

  RowSums<D / 8> dk[1] = {}, dv[1] = {};
  const LeftInShared<T, D> key[1] = {{keys.from(16 * warp)}}, value[1] = {{values.from(16 * warp)}};
  int step = seek(0), stage = 0;
  if (step < steps) {
    const std::int64_t at = l.kv_at(b, kv_head, block_first);
    fetch_rows<F::keys, flash_threads>(keys, x.k + at, l.row_stride, S - block_first);
    fetch_rows<F::keys, flash_threads>(values, x.v + at, l.row_stride, S - block_first);
    fetch(step, stage);
  }
  while (step < steps) {
    wait_for_copies();
    __syncthreads();  // the step's tiles are there, and those before them were read by all
    const int next = seek(step + 1), first_query = query_of(step);
    if (next < steps) fetch(next, 1 - stage);
    const TileMask mask = mask_of(head_of(step));
    if (first_key < mask.count(first_query + F::queries - 1)) {
      RowSums<F::queries / 8> scores[1] = {}, dp[1] = {};
      add_times_rows<T>(scores, key, queries_of(stage));
      add_times_rows<T>(dp, value, douts_of(stage));
      const bool whole = !custom && first_query + F::queries <= S && first_key + 16 <= mask.count(first_query);
      if (!whole) hide(scores[0], bits_of(step));
      const float *const lse = lse_of(stage) + 2 * quad_lane(), *const delta = lse + F::queries;
      STEPSCOPE_UNROLL
      for (int i = 0; i < F::queries / 2; ++i)
        gradients.template operator()<T>(scores[0].at[i / 4][i % 4], dp[0].at[i / 4][i % 4], lse[i / 4 * 8 + i % 2],
                                         delta[i / 4 * 8 + i % 2]);
      const LeftRows<F::queries / 16> p[1] = {left_of<T>(scores[0])}, ds[1] = {left_of<T>(dp[0])};
      add_product<T>(dv, p, douts_of(stage));
      add_product<T>(dk, ds, queries_of(stage));
    }
    step = next;
    stage = 1 - stage;
  }
  T* const packed = x.dqkv + l.kv_at(b, kv_head, first_key);
  store_rows<T, D>(dk[0], packed + l.k_offset, l.row_stride, S - first_key);
  store_rows<T, D>(dv[0], packed + l.v_offset, l.row_stride, S - first_key);
}

namespace {

template <class T, int D>
CudaRun bind_flash_gradient(const CudaBinding& binding) {
  using Q = FlashQueries<T, D>;
  using K = FlashKeys<T, D>;
  static_assert(two_blocks_fit(Q::shared_bytes) && two_blocks_fit(K::shared_bytes));
  const AttentionRows rows = attention_rows(binding, 1, 6);
  const HeadLayout& l = rows.layout;
  allow_shared(flash_queries_kernel<T, D>, Q::shared_bytes);
  allow_shared(flash_keys_kernel<T, D>, K::shared_bytes);
  const auto grid = [&](int tile, std::int64_t heads) {
    return dim3(static_cast<unsigned>((l.sequence + tile - 1) / tile), static_cast<unsigned>(heads),
                static_cast<unsigned>(l.batch));
  };
  const AttentionOperandsOnCard<T> x{binding.in<const T>(0), binding.in<const T>(1), binding.in<const T>(2),
                                     binding.in<const T>(3), binding.in<const T>(4), binding.in<const float>(5),
                                     binding.out<T>(0),      binding.out<float>(1)};
  return [=, control = binding.control, of_queries = grid(Q::queries, l.heads),
          of_keys = grid(K::keys, l.kv_heads)](const CudaIssue& issue) {
    launch(flash_queries_kernel<T, D>, of_queries, flash_threads, Q::shared_bytes, issue.stream, rows, control, x);
    launch(flash_keys_kernel<T, D>, of_keys, flash_threads, K::shared_bytes, issue.stream, rows, control, x);
  };
}

}  // namespace

CudaRun bind_flash_attention_gradient_cuda(const CudaBinding& binding) {
  return dispatch_flash(binding.in_dtype(1), binding.operation->attributes.head_dim,
                        [&]<class T, int D>() { return bind_flash_gradient<T, D>(binding); });
}

}  // namespace stepscope
