#include "model/operations/layer_norm/layer_norm_cuda.cuh"

#include "model/cuda/pack.cuh"
#include "model/cuda/team.cuh"
#include "model/operations/column_sums.cuh"
#include "model/operations/layer_norm/layer_norm_body.h"

namespace stepscope {

// A block a row. Moves 2 H elements: the row is read again from the first cache.
template <class T, class Y>
__global__ void layer_norm_kernel(const T* x, const float* scale, const float* bias, Y* y, float* mean, float* rstd,
                                  std::int64_t features, float epsilon) {
  const std::int64_t row = blockIdx.x;
  float row_mean = 0, row_rstd = 0;
  layer_norm_row(BlockTeam{}, x + row * features, scale, bias, y + row * features, &row_mean, &row_rstd, features,
                 epsilon);
  if (threadIdx.x != 0) return;
  mean[row] = row_mean;
  rstd[row] = row_rstd;
}

// The same with the row in registers, read once.
template <class T, class Y>
__global__ void layer_norm_packs_kernel(const T* x, const float* scale, const float* bias, Y* y, float* mean,
                                        float* rstd, std::int64_t features, float epsilon) {
  const std::int64_t row = blockIdx.x, pack = threadIdx.x;
  const PackTeam<WholeBlock> team(pack * row_pack < features, {});
  RowPack<T> in{};
  RowPack<float> factor{}, shift{};
  RowPack<Y> out{};
  float row_mean = 0, row_rstd = 0;
  if (team.any) {
    in = load_row_pack(x + row * features, pack);
    factor = load_row_pack(scale, pack);
    shift = load_row_pack(bias, pack);
  }
  layer_norm_row(team, in.at, factor.at, shift.at, out.at, &row_mean, &row_rstd, features, epsilon);
  if (team.any) store_pack(y + row * features, pack, out);
  if (pack != 0) return;
  mean[row] = row_mean;
  rstd[row] = row_rstd;
}

struct BiasSums : ColumnSums {};

// Block (x, y): 128 columns of the y-th 64 rows. Moves 2 H elements a row.
template <class T, class Y>
__global__ void __launch_bounds__(columns_a_block)
    layer_norm_sums_kernel(const Y* dy, const T* x, const float* mean, const float* rstd, float* scale_partials,
                           float* bias_partials, Chunks chunks, std::int64_t features) {
  float *const scale_sum = sums_by_column<ColumnSums>(), *const bias_sum = sums_by_column<BiasSums>();
  const std::int64_t chunk = blockIdx.y;
  const ColumnTile tile;
  tile.for_each(0, 1, features, [=](std::int64_t, std::int64_t j) { scale_sum[j] = bias_sum[j] = 0; });
  layer_norm_column_sums(tile, dy, x, mean, rstd, scale_sum, bias_sum, chunks.begin(chunk), chunks.end(chunk),
                         features);
  tile.for_each(0, 1, features, [=](std::int64_t, std::int64_t j) {
    scale_partials[chunk * features + j] = scale_sum[j];
    bias_partials[chunk * features + j] = bias_sum[j];
  });
}

// The same where rows are whole packs.
template <class T, class Y>
__global__ void __launch_bounds__(columns_a_block)
    layer_norm_sums_packs_kernel(const Y* dy, const T* x, const float* mean, const float* rstd, float* scale_partials,
                                 float* bias_partials, Chunks chunks, std::int64_t features) {
  const std::int64_t chunk = blockIdx.y;
  column_sums_by_packs<2>(
      chunks.begin(chunk), chunks.end(chunk), features,
      [=](std::int64_t row, std::int64_t pack, RowPack<float>* sums) {
        const RowPack<Y> outer = load_row_pack(dy + row * features, pack);
        const RowPack<T> in = load_row_pack(x + row * features, pack);
        layer_norm_column_sums(PackTile{}, outer.at, in.at, mean + row, rstd + row, sums[0].at, sums[1].at, 0, 1,
                               row_pack);
      },
      [=](int which, std::int64_t column, float sum) {
        (which == 0 ? scale_partials : bias_partials)[chunk * features + column] = sum;
      });
}

// A block a row. Moves 3 H elements, 4 with a gradient so far.
template <class T, class Y>
__global__ void layer_norm_gradient_kernel(const Y* dy, const T* x, const float* mean, const float* rstd,
                                           const float* scale, const T* so_far, T* dx, std::int64_t features) {
  const std::int64_t row = blockIdx.x, at = row * features;
  layer_norm_gradient_row(BlockTeam{}, dy + at, x + at, mean[row], rstd[row], scale,
                          so_far == nullptr ? nullptr : so_far + at, dx + at, features);
}

template <class T, class Y>
__global__ void layer_norm_gradient_packs_kernel(const Y* dy, const T* x, const float* mean, const float* rstd,
                                                 const float* scale, const T* so_far, T* dx, std::int64_t features) {
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
    layer_norm_gradient_row(team, outer.at, in.at, mean[row], rstd[row], factor.at, static_cast<const T*>(nullptr),
                            out.at, features);
  } else {
    if (team.any) held = load_row_pack(so_far + at, pack);
    layer_norm_gradient_row(team, outer.at, in.at, mean[row], rstd[row], factor.at, held.at, out.at, features);
  }
  if (team.any) store_pack(dx + at, pack, out);
}

CudaRun bind_layer_norm_cuda(const CudaBinding& binding) {
  return dispatch_cuda_residual(binding.in_dtype(0), binding.out_type(0).dtype, [&]<class T, class Y>() -> CudaRun {
    const T* x = binding.in<const T>(0);
    const float *scale = binding.in<const float>(1), *bias = binding.in<const float>(2);
    Y* y = binding.out<Y>(0);
    float *mean = binding.out<float>(1), *rstd = binding.out<float>(2);
    const std::int64_t features = binding.in_view(0).shape.last();
    const auto rows = static_cast<unsigned>(binding.in_view(0).shape.rows());
    const auto epsilon = static_cast<float>(binding.operation->attributes.epsilon);
    const auto kernel =
        row_in_registers(features, {x, scale, bias, y}) ? layer_norm_packs_kernel<T, Y> : layer_norm_kernel<T, Y>;
    return [=](const CudaIssue& issue) {
      launch(kernel, rows, threads_for_row(features), 0, issue.stream, x, scale, bias, y, mean, rstd, features,
             epsilon);
    };
  });
}

// [chunks][H] of dscale, then of dbias.
std::int64_t layer_norm_gradient_cuda_workspace(const Program&, const Operation& operation) {
  const Shape& shape = operation.ins[1].view.shape;
  return partial_chunks(shape.rows()).count() * 2 * shape.last() * static_cast<std::int64_t>(sizeof(float));
}

template <class T, class Y>
static CudaRun bind_layer_norm_gradient(const CudaBinding& binding) {
  const Y* dy = binding.in<const Y>(0);
  const T* x = binding.in<const T>(1);
  const float *mean = binding.in<const float>(2), *rstd = binding.in<const float>(3);
  const float* scale = binding.in<const float>(4);
  const T* so_far = binding.ins.size() > 5 ? binding.in<const T>(5) : nullptr;
  T* dx = binding.out<T>(0);
  const std::int64_t features = binding.in_view(1).shape.last();
  const auto rows = static_cast<unsigned>(binding.in_view(1).shape.rows());
  const Chunks chunks = partial_chunks(rows);
  auto* scale_partials = reinterpret_cast<float*>(binding.workspace);
  float* bias_partials = scale_partials + chunks.count() * features;
  float *dscale = binding.write<float>(0), *dbias = binding.write<float>(1);
  const auto kernel = row_in_registers(features, {dy, x, scale, so_far, dx}) ? layer_norm_gradient_packs_kernel<T, Y>
                                                                             : layer_norm_gradient_kernel<T, Y>;
  const auto sums =
      rows_in_packs(features, {dy, x}) ? layer_norm_sums_packs_kernel<T, Y> : layer_norm_sums_kernel<T, Y>;
  const Accumulate scale_mode = binding.operation->writes[0].accumulate,
                   bias_mode = binding.operation->writes[1].accumulate;
  return [=](const CudaIssue& issue) {
    const dim3 sums_grid(column_blocks(features), static_cast<unsigned>(chunks.count()));
    launch(sums, sums_grid, columns_a_block, 0, issue.stream, dy, x, mean, rstd, scale_partials, bias_partials, chunks,
           features);
    launch(kernel, rows, threads_for_row(features), 0, issue.stream, dy, x, mean, rstd, scale, so_far, dx,
           features);  // after the sums: dx may lie over dy
    issue_add_partials(issue.stream, scale_partials, chunks.count(), features, adds(scale_mode, issue.first_micro_step),
                       dscale);
    issue_add_partials(issue.stream, bias_partials, chunks.count(), features, adds(bias_mode, issue.first_micro_step),
                       dbias);
  };
}

CudaRun bind_layer_norm_gradient_cuda(const CudaBinding& binding) {
  return dispatch_cuda_residual(binding.in_dtype(1), binding.in_dtype(0),
                                [&]<class T, class Y>() { return bind_layer_norm_gradient<T, Y>(binding); });
}

}  // namespace stepscope
