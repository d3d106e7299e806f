#include "model/operations/qk_norm/qk_norm_cuda.cuh"

#include "model/cuda/pack.cuh"
#include "model/cuda/team.cuh"
#include "model/operations/column_sums.cuh"
#include "model/operations/qk_norm/qk_norm_body.h"

namespace stepscope {

constexpr unsigned qk_norm_threads = 256;

struct QkScales {
  const float *query, *key;
};

// One of the heads of a token: where it lies, and for queries and keys which scale and which of the token's statistics is its.
struct HeadOfToken {
  int group, part;  // part: queries first, then the key, then the value

  __device__ __forceinline__ HeadOfToken(const PackedHeads& heads, int head) {
    const int of_group = static_cast<int>(heads.queries) + 2;
    group = head / of_group, part = head % of_group;
  }
  [[nodiscard]] __device__ __forceinline__ bool is_value(const PackedHeads& heads) const {
    return part > heads.queries;
  }
  [[nodiscard]] __device__ __forceinline__ const float* scale(const PackedHeads& heads, const QkScales& scales) const {
    return part < heads.queries ? scales.query : scales.key;
  }
  [[nodiscard]] __device__ __forceinline__ std::int64_t statistic(const PackedHeads& heads, std::int64_t token) const {
    return (token * heads.kv_heads + group) * (heads.queries + 1) + part;
  }
};

[[nodiscard]] __device__ __forceinline__ int heads_of_token(const PackedHeads& heads) {
  return static_cast<int>(heads.kv_heads * (heads.queries + 2));
}

// A block a token, a warp a head. Moves 2 elements of each.
template <class T>
__global__ void __launch_bounds__(qk_norm_threads)
    qk_norm_kernel(PackedHeads heads, const T* x, QkScales scales, T* y, float* rstd, float epsilon) {
  const std::int64_t width = heads.head_dim, token = blockIdx.x;
  const int all = heads_of_token(heads);
  for (int head = threadIdx.x / warp_lanes; head < all; head += qk_norm_threads / warp_lanes) {
    const std::int64_t at = (token * all + head) * width;
    const HeadOfToken place(heads, head);
    if (place.is_value(heads)) {
      copy_head(WarpTeam{}, x + at, y + at, width);
      continue;
    }
    float inverse = 0;
    rms_norm_row(WarpTeam{}, x + at, place.scale(heads, scales), y + at, &inverse, width, epsilon);
    if (WarpTeam::member() == 0) rstd[place.statistic(heads, token)] = inverse;
  }
}

// Moves 3 elements of each.
template <class T>
__global__ void __launch_bounds__(qk_norm_threads)
    qk_norm_gradient_kernel(PackedHeads heads, const T* dy, const T* x, const float* rstd, QkScales scales, T* dx) {
  const std::int64_t width = heads.head_dim, token = blockIdx.x;
  const int all = heads_of_token(heads);
  for (int head = threadIdx.x / warp_lanes; head < all; head += qk_norm_threads / warp_lanes) {
    const std::int64_t at = (token * all + head) * width;
    const HeadOfToken place(heads, head);
    if (place.is_value(heads))
      copy_head(WarpTeam{}, dy + at, dx + at, width);
    else
      rms_norm_gradient_row(WarpTeam{}, dy + at, x + at, rstd[place.statistic(heads, token)],
                            place.scale(heads, scales), static_cast<const T*>(nullptr), dx + at, width);
  }
}

// The same where a head is a power of two of row packs, at most a warp's: as many lanes a head, several heads a warp.
template <class T>
__global__ void __launch_bounds__(qk_norm_threads)
    qk_norm_packs_kernel(PackedHeads heads, const T* x, QkScales scales, T* y, float* rstd, float epsilon) {
  const std::int64_t width = heads.head_dim, token = blockIdx.x;
  const int all = heads_of_token(heads), thread = static_cast<int>(threadIdx.x);
  const int lanes = static_cast<int>(width) / row_pack, pack = thread % lanes, at_once = qk_norm_threads / lanes;
  for (int first = 0; first < all; first += at_once) {  // all lanes of a warp stay together
    const int head = first + thread / lanes;
    const std::int64_t at = (token * all + head) * width;
    const HeadOfToken place(heads, head);
    const PackTeam<LanesOfWarp> team(head < all, {lanes});
    RowPack<T> in{}, out{};
    RowPack<float> scale{};
    float inverse = 0;
    if (team.any) {
      in = load_row_pack(x + at, pack);
      scale = load_row_pack(place.scale(heads, scales), pack);
    }
    rms_norm_row(team, in.at, scale.at, out.at, &inverse, width, epsilon);
    if (!team.any) continue;
    if (place.is_value(heads)) out = in;
    store_pack(y + at, pack, out);
    if (pack == 0 && !place.is_value(heads)) rstd[place.statistic(heads, token)] = inverse;
  }
}

template <class T>
__global__ void __launch_bounds__(qk_norm_threads)
    qk_norm_gradient_packs_kernel(PackedHeads heads, const T* dy, const T* x, const float* rstd, QkScales scales,
                                  T* dx) {
  const std::int64_t width = heads.head_dim, token = blockIdx.x;
  const int all = heads_of_token(heads), thread = static_cast<int>(threadIdx.x);
  const int lanes = static_cast<int>(width) / row_pack, pack = thread % lanes, at_once = qk_norm_threads / lanes;
  for (int first = 0; first < all; first += at_once) {
    const int head = first + thread / lanes;
    const std::int64_t at = (token * all + head) * width;
    const HeadOfToken place(heads, head);
    const PackTeam<LanesOfWarp> team(head < all, {lanes});
    RowPack<T> outer{}, in{}, out{};
    RowPack<float> scale{};
    float inverse = 0;
    if (team.any) {
      outer = load_row_pack(dy + at, pack);
      in = load_row_pack(x + at, pack);
      scale = load_row_pack(place.scale(heads, scales), pack);
      if (!place.is_value(heads)) inverse = rstd[place.statistic(heads, token)];
    }
    rms_norm_gradient_row(team, outer.at, in.at, inverse, scale.at, static_cast<const T*>(nullptr), out.at, width);
    if (place.is_value(heads)) out = outer;
    if (team.any) store_pack(dx + at, pack, out);
  }
}

struct KeySums : ColumnSums {};

// Block (x, y, z): 128 features of the heads of the y-th kv head in the z-th 64 tokens. Moves 2 elements of each.
template <class T>
__global__ void __launch_bounds__(columns_a_block)
    qk_norm_sums_kernel(PackedHeads heads, const T* dy, const T* x, const float* rstd, float* query_partials,
                        float* key_partials, Chunks tokens) {
  float *const query_sum = sums_by_column<ColumnSums>(), *const key_sum = sums_by_column<KeySums>();
  const std::int64_t width = heads.head_dim;
  const int queries = static_cast<int>(heads.queries), first = static_cast<int>(blockIdx.y) * (queries + 2);
  const ColumnTile tile;
  tile.for_each(0, 1, width, [=](std::int64_t, std::int64_t j) { query_sum[j] = key_sum[j] = 0; });
  for (std::int64_t token = tokens.begin(blockIdx.z); token < tokens.end(blockIdx.z); ++token)
    for (int head = first; head <= first + queries; ++head) {
      const std::int64_t at = (token * heads_of_token(heads) + head) * width;
      const HeadOfToken place(heads, head);
      rms_norm_column_sums(tile, dy + at, x + at, rstd + place.statistic(heads, token),
                           place.part < heads.queries ? query_sum : key_sum, 0, 1, width);
    }
  const std::int64_t part = (blockIdx.z * heads.kv_heads + blockIdx.y) * width;
  tile.for_each(0, 1, width, [=](std::int64_t, std::int64_t j) {
    query_partials[part + j] = query_sum[j];
    key_partials[part + j] = key_sum[j];
  });
}

// Whether the kernels in packs do it.
static bool heads_in_packs(std::int64_t width, std::initializer_list<const void*> addresses) {
  const std::int64_t lanes = width / row_pack;
  return rows_in_packs(width, addresses) && lanes <= warp_lanes && (lanes & (lanes - 1)) == 0;
}

CudaRun bind_qk_norm_cuda(const CudaBinding& binding) {
  return dispatch_cuda(binding.in_dtype(0), [&]<class T>() -> CudaRun {
    const Attributes& a = binding.operation->attributes;
    const Shape& shape = binding.in_view(0).shape;
    const PackedHeads heads = packed_heads(shape, a.heads, a.head_dim);
    const T* x = binding.in<const T>(0);
    const QkScales scales{binding.in<const float>(1), binding.in<const float>(2)};
    T* y = binding.out<T>(0);
    const auto kernel =
        heads_in_packs(a.head_dim, {x, scales.query, scales.key, y}) ? qk_norm_packs_kernel<T> : qk_norm_kernel<T>;
    return [=, rstd = binding.out<float>(1), epsilon = static_cast<float>(a.epsilon),
            tokens = static_cast<unsigned>(shape.rows())](const CudaIssue& issue) {
      launch(kernel, tokens, qk_norm_threads, 0, issue.stream, heads, x, scales, y, rstd, epsilon);
    };
  });
}

// Of each 64 tokens and kv head [D] of the queries' scale, then of the keys'.
std::int64_t qk_norm_gradient_cuda_workspace(const Program&, const Operation& operation) {
  const Shape& shape = operation.ins[1].view.shape;
  const Attributes& a = operation.attributes;
  const std::int64_t parts = partial_chunks(shape.rows()).count() * packed_heads(shape, a.heads, a.head_dim).kv_heads;
  return parts * 2 * a.head_dim * static_cast<std::int64_t>(sizeof(float));
}

template <class T>
static CudaRun bind_qk_norm_gradient(const CudaBinding& binding) {
  const Attributes& a = binding.operation->attributes;
  const Shape& shape = binding.in_view(1).shape;
  const PackedHeads heads = packed_heads(shape, a.heads, a.head_dim);
  const T *dy = binding.in<const T>(0), *x = binding.in<const T>(1);
  const float* rstd = binding.in<const float>(2);
  const QkScales scales{binding.in<const float>(3), binding.in<const float>(4)};
  T* dx = binding.out<T>(0);
  const auto rows = static_cast<unsigned>(shape.rows());
  const Chunks tokens = partial_chunks(rows);
  const std::int64_t width = heads.head_dim, parts = tokens.count() * heads.kv_heads;
  auto* query_partials = reinterpret_cast<float*>(binding.workspace);
  float* key_partials = query_partials + parts * width;
  float *query_gradient = binding.write<float>(0), *key_gradient = binding.write<float>(1);
  const Accumulate query_mode = binding.operation->writes[0].accumulate,
                   key_mode = binding.operation->writes[1].accumulate;
  const auto kernel = heads_in_packs(width, {dy, x, scales.query, scales.key, dx}) ? qk_norm_gradient_packs_kernel<T>
                                                                                   : qk_norm_gradient_kernel<T>;
  return [=](const CudaIssue& issue) {
    const dim3 sums_grid(column_blocks(width), static_cast<unsigned>(heads.kv_heads),
                         static_cast<unsigned>(tokens.count()));
    launch(qk_norm_sums_kernel<T>, sums_grid, columns_a_block, 0, issue.stream, heads, dy, x, rstd, query_partials,
           key_partials, tokens);
    launch(kernel, rows, qk_norm_threads, 0, issue.stream, heads, dy, x, rstd, scales, dx);  // dx may lie over dy
    issue_add_partials(issue.stream, query_partials, parts, width, adds(query_mode, issue.first_micro_step),
                       query_gradient);
    issue_add_partials(issue.stream, key_partials, parts, width, adds(key_mode, issue.first_micro_step), key_gradient);
  };
}

CudaRun bind_qk_norm_gradient_cuda(const CudaBinding& binding) {
  return dispatch_cuda(binding.in_dtype(1), [&]<class T>() { return bind_qk_norm_gradient<T>(binding); });
}

}  // namespace stepscope
