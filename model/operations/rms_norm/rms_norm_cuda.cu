#include "model/operations/rms_norm/rms_norm_cuda.cuh"

#include "model/cuda/pack.cuh"
#include "model/cuda/team.cuh"
#include "model/operations/column_sums.cuh"
#include "model/operations/rms_norm/rms_norm_body.h"

namespace stepscope {

// A block a row. Moves 2 H elements: the row is read again from the first cache.
template <class T, class Y>
__global__ void rms_norm_kernel(const T* x, const float* scale, Y* y, float* rstd, std::int64_t features,
                                float epsilon) {
  const std::int64_t row = blockIdx.x;
  float row_rstd = 0;
  rms_norm_row(BlockTeam{}, x + row * features, scale, y + row * features, &row_rstd, features, epsilon);
  if (threadIdx.x == 0) rstd[row] = row_rstd;
}

// The same with the row in registers, read once.
template <class T, class Y>
__global__ void rms_norm_packs_kernel(const T* x, const float* scale, Y* y, float* rstd, std::int64_t features,
                                      float epsilon) {
  const std::int64_t row = blockIdx.x, pack = threadIdx.x;
  const PackTeam<WholeBlock> team(pack * row_pack < features, {});
  RowPack<T> in{};
  RowPack<float> factor{};
  RowPack<Y> out{};
  float row_rstd = 0;
  if (team.any) {
    in = load_row_pack(x + row * features, pack);
    factor = load_row_pack(scale, pack);
  }
  rms_norm_row(team, in.at, factor.at, out.at, &row_rstd, features, epsilon);
  if (team.any) store_pack(y + row * features, pack, out);
  if (pack == 0) rstd[row] = row_rstd;
}

// Block (x, y): 128 columns of the y-th 64 rows. Moves 2 H elements a row.
template <class T, class Y>
__global__ void __launch_bounds__(columns_a_block)
    rms_norm_sums_kernel(const Y* dy, const T* x, const float* rstd, float* partials, Chunks chunks,
                         std::int64_t features) {
  float* const sum = sums_by_column<ColumnSums>();
  const std::int64_t chunk = blockIdx.y;
  const ColumnTile tile;
  tile.for_each(0, 1, features, [=](std::int64_t, std::int64_t j) { sum[j] = 0; });
  rms_norm_column_sums(tile, dy, x, rstd, sum, chunks.begin(chunk), chunks.end(chunk), features);
  tile.for_each(0, 1, features, [=](std::int64_t, std::int64_t j) { partials[chunk * features + j] = sum[j]; });
}

// The same where rows are whole packs.
template <class T, class Y>
__global__ void __launch_bounds__(columns_a_block)
    rms_norm_sums_packs_kernel(const Y* dy, const T* x, const float* rstd, float* partials, Chunks chunks,
                               std::int64_t features) {
  const std::int64_t chunk = blockIdx.y;
  column_sums_by_packs<1>(
      chunks.begin(chunk), chunks.end(chunk), features,
      [=](std::int64_t row, std::int64_t pack, RowPack<float>* sums) {
        const RowPack<Y> outer = load_row_pack(dy + row * features, pack);
        const RowPack<T> in = load_row_pack(x + row * features, pack);
        rms_norm_column_sums(PackTile{}, outer.at, in.at, rstd + row, sums[0].at, 0, 1, row_pack);
      },
      [=](int, std::int64_t column, float sum) { partials[chunk * features + column] = sum; });
}

// A block a row. Moves 3 H elements, 4 with a gradient so far.
template <class T, class Y>
__global__ void rms_norm_gradient_kernel(const Y* dy, const T* x, const float* rstd, const float* scale,
                                         const T* so_far, T* dx, std::int64_t features) {
  const std::int64_t row = blockIdx.x, at = row * features;
  rms_norm_gradient_row(BlockTeam{}, dy + at, x + at, rstd[row], scale, so_far == nullptr ? nullptr : so_far + at,
                        dx + at, features);
}

template <class T, class Y>
__global__ void rms_norm_gradient_packs_kernel(const Y* dy, const T* x, const float* rstd, const float* scale,
                                               const T* so_far, T* dx, std::int64_t features) {
  const std::int64_t row = blockIdx.x, at = row * features, pack = threadIdx.x;
  const PackTeam<WholeBlock> team(pack * row_pack < features, {});
  RowPack<Y> outer{};
  RowPack<T> in{}, held{}, out{};
  RowPack<float> factor{};
  if (team.any) {
    outer = load_row_pack(dy + at, pack);
    in = load_row_pack(x + at, pack);
    factor = load_row_pack(scale, pack);
  }
  if (so_far == nullptr) {
    rms_norm_gradient_row(team, outer.at, in.at, rstd[row], factor.at, static_cast<const T*>(nullptr), out.at,
                          features);
  } else {
    if (team.any) held = load_row_pack(so_far + at, pack);
    rms_norm_gradient_row(team, outer.at, in.at, rstd[row], factor.at, held.at, out.at, features);
  }
  if (team.any) store_pack(dx + at, pack, out);
}

CudaRun bind_rms_norm_cuda(const CudaBinding& binding) {
  return dispatch_cuda_residual(binding.in_dtype(0), binding.out_type(0).dtype, [&]<class T, class Y>() -> CudaRun {
    const T* x = binding.in<const T>(0);
    const float* scale = binding.in<const float>(1);
    Y* y = binding.out<Y>(0);
    float* rstd = binding.out<float>(1);
    const std::int64_t features = binding.in_view(0).shape.last();
    const auto rows = static_cast<unsigned>(binding.in_view(0).shape.rows());
    const auto epsilon = static_cast<float>(binding.operation->attributes.epsilon);
    const auto kernel = row_in_registers(features, {x, scale, y}) ? rms_norm_packs_kernel<T, Y> : rms_norm_kernel<T, Y>;
    return [=](const CudaIssue& issue) {
      launch(kernel, rows, threads_for_row(features), 0, issue.stream, x, scale, y, rstd, features, epsilon);
    };
  });
}

// [chunks][H] of dscale.
std::int64_t rms_norm_gradient_cuda_workspace(const Program&, const Operation& operation) {
  const Shape& shape = operation.ins[1].view.shape;
  return partial_chunks(shape.rows()).count() * shape.last() * static_cast<std::int64_t>(sizeof(float));
}

template <class T, class Y>
static CudaRun bind_rms_norm_gradient(const CudaBinding& binding) {
  const Y* dy = binding.in<const Y>(0);
  const T* x = binding.in<const T>(1);
  const float *rstd = binding.in<const float>(2), *scale = binding.in<const float>(3);
  const T* so_far = binding.ins.size() > 4 ? binding.in<const T>(4) : nullptr;
  T* dx = binding.out<T>(0);
  const std::int64_t features = binding.in_view(1).shape.last();
  const auto rows = static_cast<unsigned>(binding.in_view(1).shape.rows());
  const Chunks chunks = partial_chunks(rows);
  auto* partials = reinterpret_cast<float*>(binding.workspace);
  float* dscale = binding.write<float>(0);
  const auto kernel = row_in_registers(features, {dy, x, scale, so_far, dx}) ? rms_norm_gradient_packs_kernel<T, Y>
                                                                             : rms_norm_gradient_kernel<T, Y>;
  const auto sums = rows_in_packs(features, {dy, x}) ? rms_norm_sums_packs_kernel<T, Y> : rms_norm_sums_kernel<T, Y>;
  return [=, mode = binding.operation->writes[0].accumulate](const CudaIssue& issue) {
    const dim3 sums_grid(column_blocks(features), static_cast<unsigned>(chunks.count()));
    launch(sums, sums_grid, columns_a_block, 0, issue.stream, dy, x, rstd, partials, chunks, features);
    launch(kernel, rows, threads_for_row(features), 0, issue.stream, dy, x, rstd, scale, so_far, dx,
           features);  // after the sums: dx may lie over dy
    issue_add_partials(issue.stream, partials, chunks.count(), features, adds(mode, issue.first_micro_step), dscale);
  };
}

CudaRun bind_rms_norm_gradient_cuda(const CudaBinding& binding) {
  return dispatch_cuda_residual(binding.in_dtype(1), binding.in_dtype(0),
                                [&]<class T, class Y>() { return bind_rms_norm_gradient<T, Y>(binding); });
}

}  // namespace stepscope
