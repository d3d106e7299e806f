#include "model/operations/cross_entropy/cross_entropy_cuda.cuh"

#include "model/cuda/pack.cuh"
#include "model/cuda/team.cuh"
#include "model/operations/cross_entropy/cross_entropy_body.h"

namespace stepscope {

__device__ inline double inverse_token_count(const ControlBlock& control) {
  return control.token_count > 0 ? 1 / control.token_count : 0;
}

// Which elements of a row a thread has, the same in every pass: whole packs between what lies before the first and behind the last one,
// wherever in the array the row begins.
struct RowParts {
  std::int64_t head, packs, columns;
  __device__ RowParts(std::int64_t first, std::int64_t row_columns, bool aligned) : columns(row_columns) {
    const std::int64_t before = (row_pack - first % row_pack) % row_pack;
    head = !aligned || before > columns ? columns : before;
    packs = (columns - head) / row_pack;
  }
  // many(the first element of a pack), one(an element)
  template <class Many, class One>
  __device__ __forceinline__ void each(Many many, One one) const {
    for (std::int64_t p = threadIdx.x; p < packs; p += blockDim.x) many(head + p * row_pack);
    const std::int64_t whole = packs * row_pack;
    for (std::int64_t i = threadIdx.x; i < columns - whole; i += blockDim.x) one(i < head ? i : i + whole);
  }
};

// This thread's maximum and sum with n more logits: a new maximum shrinks the sum so far.
__device__ __forceinline__ MaximumAndSum<float> with_logits(MaximumAndSum<float> so_far, const float* x, int n) {
  const float higher = max_of(so_far.maximum, ThreadTeam{}.reduce(
                                                  n, -INFINITY, [=](std::int64_t i) { return x[i]; },
                                                  [](float a, float b) { return max_of(a, b); }));
  const float shrunk = so_far.sum == 0 ? 0 : so_far.sum * exp_of(so_far.maximum - higher);
  return {higher, shrunk + ThreadTeam{}.sum<float>(n, [=](std::int64_t i) { return exp_of(x[i] - higher); })};
}

// A block a row. Moves 2 V fp32 (the second reading comes from the second-level cache) and V elements of the gradient.
template <class T>
__global__ void cross_entropy_kernel(const float* logits, const std::int32_t* all_targets, std::int64_t micro_stride,
                                     const ControlBlock* control, T* dlogits, double* row_loss, std::int64_t columns,
                                     bool aligned) {
  const std::int64_t row = blockIdx.x, first = row * columns;
  const std::int32_t target = all_targets[control->micro_step * micro_stride + row];
  const auto factor = static_cast<float>(inverse_token_count(*control) * control->loss_scale);
  const RowParts parts(first, columns, aligned);
  const float* const x = logits + first;
  T* const dx = dlogits + first;
  if (target < 0) {
    parts.each([=](std::int64_t at) { store_pack(dx + at, 0, RowPack<T>{}); }, [=](std::int64_t i) { dx[i] = T{}; });
    if (threadIdx.x == 0) row_loss[row] = 0;
    return;
  }
  const float at_target = x[target];  // by every thread, before the reductions let any of them write dx over x
  MaximumAndSum<float> mine{-INFINITY, 0};
  parts.each([&](std::int64_t at) { mine = with_logits(mine, load_row_pack(x + at, 0).at, row_pack); },
             [&](std::int64_t i) { mine = with_logits(mine, x + i, 1); });
  const float maximum = combine_block(mine.maximum, -INFINITY, [](float a, float b) { return max_of(a, b); });
  const float sum = combine_block(mine.sum == 0 ? 0.0f : mine.sum * exp_of(mine.maximum - maximum), 0.0f,
                                  [](float a, float b) { return a + b; });
  const CrossEntropyRow<float> of_row{maximum, 1 / sum, target, factor};
  parts.each(
      [=](std::int64_t at) {
        const RowPack<float> in = load_row_pack(x + at, 0);
        RowPack<T> out;
        STEPSCOPE_UNROLL
        for (int j = 0; j < row_pack; ++j) out.at[j] = store<T>(of_row.gradient(in.at[j], at + j));
        store_pack(dx + at, 0, out);
      },
      [=](std::int64_t i) { dx[i] = store<T>(of_row.gradient(x[i], i)); });
  if (threadIdx.x == 0) row_loss[row] = loss_of_row(maximum, sum, at_target);
}

constexpr unsigned loss_threads = 512;

static __global__ void __launch_bounds__(loss_threads)
    loss_kernel(const double* row_loss, std::int64_t rows, ControlBlock* control, float* loss) {
  const double sum = BlockTeam{}.sum<double>(rows, [=](std::int64_t row) { return row_loss[row]; });
  if (threadIdx.x != 0) return;
  control->loss_sum += sum;
  *loss = static_cast<float>(sum * inverse_token_count(*control));
}

std::int64_t cross_entropy_cuda_workspace(const Program&, const Operation& operation) {
  return operation.ins[0].view.shape.rows() * static_cast<std::int64_t>(sizeof(double));
}

CudaRun bind_cross_entropy_cuda(const CudaBinding& binding) {
  if (binding.in_dtype(0) != DType::fp32) throw Unsupported("CUDA: cross_entropy reads fp32 logits alone");
  return dispatch_cuda(binding.out_type(1).dtype, [&]<class T>() -> CudaRun {
    const float* logits = binding.in<const float>(0);
    const std::int32_t* targets = binding.in<const std::int32_t>(1);
    const std::int64_t micro_stride = binding.in_view(1).micro_stride;
    float* loss = binding.out<float>(0);
    T* dlogits = binding.out<T>(1);
    auto* row_loss = reinterpret_cast<double*>(binding.workspace);
    const std::int64_t columns = binding.in_view(0).shape.last(), rows = binding.in_view(0).shape.rows();
    const bool aligned = are_aligned({logits, dlogits});
    return [=, control = binding.control](const CudaIssue& issue) {
      launch(cross_entropy_kernel<T>, static_cast<unsigned>(rows), threads_for_row(columns), 0, issue.stream, logits,
             targets, micro_stride, control, dlogits, row_loss, columns, aligned);
      launch(loss_kernel, 1, loss_threads, 0, issue.stream, row_loss, rows, control, loss);
    };
  });
}

}  // namespace stepscope
