#include "model/operations/linear/linear_cuda.cuh"

#include <memory>

#include "model/cuda/pack.cuh"
#include "model/operations/column_sums.cuh"
#include "model/operations/linear/linear_matmuls.h"

namespace stepscope {

// y += bias for every row, where the matmul cannot: its epilogue adds a bias of y's type alone.
template <class T>
__global__ void __launch_bounds__(element_threads)
    add_bias_kernel(const T* bias, float* y, std::int64_t columns, std::int64_t n) {
  const std::int64_t i = grid_thread();
  if (i < n) y[i] += load(bias[i % columns]);
}

// Block (x, y): 128 columns of the y-th 64 rows. Moves each element of dy once.
template <class T>
__global__ void __launch_bounds__(columns_a_block)
    bias_sums_kernel(const T* dy, std::int64_t stride, std::int64_t columns, Chunks chunks, float* partials) {
  float* const sum = sums_by_column<ColumnSums>();
  const std::int64_t chunk = blockIdx.y;
  sum_rows(ColumnTile{}, dy, stride, chunks.begin(chunk), chunks.end(chunk), columns, sum);
  ColumnTile{}.for_each(0, 1, columns, [=](std::int64_t, std::int64_t j) { partials[chunk * columns + j] = sum[j]; });
}

// The same where rows are whole packs.
template <class T>
__global__ void __launch_bounds__(columns_a_block)
    bias_sums_packs_kernel(const T* dy, std::int64_t stride, std::int64_t columns, Chunks chunks, float* partials) {
  const std::int64_t chunk = blockIdx.y;
  column_sums_by_packs<1>(
      chunks.begin(chunk), chunks.end(chunk), columns,
      [=](std::int64_t row, std::int64_t pack, RowPack<float>* sums) {
        const RowPack<T> in = load_row_pack(dy + row * stride, pack);
        STEPSCOPE_UNROLL
        for (int j = 0; j < row_pack; ++j) sums[0].at[j] += load(in.at[j]);
      },
      [=](int, std::int64_t column, float sum) { partials[chunk * columns + column] = sum; });
}

std::int64_t linear_cuda_workspace(const Program& program, const Operation& op) {
  return matmul_workspace_bytes(linear_spec(program, op));
}
std::int64_t linear_input_gradient_cuda_workspace(const Program& program, const Operation& op) {
  return matmul_workspace_bytes(linear_input_gradient_spec(program, op));
}

CudaRun bind_linear_cuda(const CudaBinding& binding) {
  MatmulSpec spec = linear_spec(*binding.program, *binding.operation);
  const bool fused = spec.in == spec.out, apart = spec.bias && !fused;
  spec.bias = spec.bias && fused;
  const std::byte* bias = binding.ins.size() > 2 ? binding.ins[2] : nullptr;
  const auto matmul = std::make_shared<const CudaMatmul>(
      *binding.matmuls, spec, binding.program->tf32,
      CudaMatmulAddresses{binding.ins[0], binding.ins[1], binding.outs[0], bias, binding.workspace});
  if (!apart) return [=](const CudaIssue& issue) { matmul->issue(issue.stream, false); };
  if (spec.out != DType::fp32) throw Unsupported("CUDA: linear's bias beside an output of another narrow type");
  return dispatch_cuda(spec.in, [&]<class T>() -> CudaRun {
    float* y = binding.out<float>(0);
    const std::int64_t n = spec.m * spec.n, columns = spec.n;
    return [=, of_row = reinterpret_cast<const T*>(bias)](const CudaIssue& issue) {
      matmul->issue(issue.stream, false);
      launch(add_bias_kernel<T>, element_launch(n, 1, {}).grid, element_threads, 0, issue.stream, of_row, y, columns,
             n);
    };
  });
}

// The matmul's, then the partial sums of the bias.
std::int64_t linear_weight_gradient_cuda_workspace(const Program& program, const Operation& op) {
  const std::int64_t matmul = matmul_workspace_bytes(linear_weight_gradient_spec(program, op));
  if (op.writes.size() < 2) return matmul;
  const MatrixView dy = linear_matrix(op, 1);
  return matmul + partial_chunks(dy.rows).count() * dy.columns * static_cast<std::int64_t>(sizeof(float));
}

namespace {

CudaRun bind_bias_gradient(const CudaBinding& binding) {
  const MatrixView dy = linear_matrix(*binding.operation, 1);
  auto* partials = reinterpret_cast<float*>(
      binding.workspace + matmul_workspace_bytes(linear_weight_gradient_spec(*binding.program, *binding.operation)));
  float* gradient = binding.write<float>(1);
  const Accumulate mode = binding.operation->writes[1].accumulate;
  return dispatch_cuda(binding.in_dtype(1), [&]<class T>() -> CudaRun {
    const T* const elements = binding.in<const T>(1);
    const auto kernel = rows_in_packs(dy.columns, {elements}) && dy.stride % row_pack == 0 ? bias_sums_packs_kernel<T>
                                                                                           : bias_sums_kernel<T>;
    return [=](const CudaIssue& issue) {
      const Chunks chunks = partial_chunks(dy.rows);
      const dim3 grid(column_blocks(dy.columns), static_cast<unsigned>(chunks.count()));
      launch(kernel, grid, columns_a_block, 0, issue.stream, elements, dy.stride, dy.columns, chunks, partials);
      issue_add_partials(issue.stream, partials, chunks.count(), dy.columns, adds(mode, issue.first_micro_step),
                         gradient);
    };
  });
}

}  // namespace

CudaRun bind_linear_weight_gradient_cuda(const CudaBinding& binding) {
  const Operation& op = *binding.operation;
  const auto left = static_cast<std::size_t>(weight_gradient_rows(op));
  const auto matmul = std::make_shared<const CudaMatmul>(
      *binding.matmuls, linear_weight_gradient_spec(*binding.program, op), binding.program->tf32,
      CudaMatmulAddresses{binding.ins[left], binding.ins[1 - left], binding.writes[0], nullptr, binding.workspace});
  const CudaRun bias = op.writes.size() > 1 ? bind_bias_gradient(binding) : CudaRun();
  return [=, mode = op.writes[0].accumulate](const CudaIssue& issue) {
    if (bias) bias(issue);
    matmul->issue(issue.stream, adds(mode, issue.first_micro_step));
  };
}

CudaRun bind_linear_input_gradient_cuda(const CudaBinding& binding) {
  const auto matmul = std::make_shared<const CudaMatmul>(
      *binding.matmuls, linear_input_gradient_spec(*binding.program, *binding.operation), binding.program->tf32,
      CudaMatmulAddresses{binding.ins[0], binding.ins[1], binding.outs[0], nullptr, binding.workspace});
  return [=](const CudaIssue& issue) { matmul->issue(issue.stream, false); };
}

}  // namespace stepscope
