#include "model/operations/embedding/embedding_cuda.cuh"

#include "model/cuda/pack.cuh"
#include "model/cuda/team.cuh"
#include "model/operations/embedding/embedding_body.h"
#include "model/operations/embedding/tokens_of_step.cuh"

namespace stepscope {

// A block a token. Moves H elements of x and as many of two fp32 rows.
template <class T>
__global__ void embedding_kernel(TokensOfStep tokens, const ControlBlock* control, const float* table,
                                 const float* positions, T* x, std::int64_t sequence, std::int64_t features) {
  const std::int64_t row = blockIdx.x;
  const float* position = positions == nullptr ? nullptr : positions + row % sequence * features;
  embedding_row(BlockTeam{}, table + tokens.now(*control)[row] * features, position, x + row * features, features);
}

// The same in packs.
template <class T>
__global__ void embedding_packs_kernel(TokensOfStep tokens, const ControlBlock* control, const float* table,
                                       const float* positions, T* x, std::int64_t sequence, std::int64_t features) {
  const std::int64_t row = blockIdx.x, position_at = row % sequence * features;
  const float* of_token = table + tokens.now(*control)[row] * features;
  for (std::int64_t pack = threadIdx.x; pack * row_pack < features; pack += blockDim.x) {
    const RowPack<float> entry = load_row_pack(of_token, pack);
    RowPack<T> out;
    if (positions == nullptr) {
      embedding_row(ThreadTeam{}, entry.at, nullptr, out.at, row_pack);
    } else {
      const RowPack<float> position = load_row_pack(positions + position_at, pack);
      embedding_row(ThreadTeam{}, entry.at, position.at, out.at, row_pack);
    }
    store_pack(x + row * features, pack, out);
  }
}

CudaRun bind_embedding_cuda(const CudaBinding& binding) {
  return dispatch_cuda(binding.out_type(0).dtype, [&]<class T>() -> CudaRun {
    const TokensOfStep tokens{binding.in<const std::int32_t>(0), binding.in_view(0).micro_stride};
    const float* table = binding.in<const float>(1);
    const float* positions = binding.ins.size() > 2 ? binding.in<const float>(2) : nullptr;
    T* x = binding.out<T>(0);
    const Shape& shape = binding.out_type(0).shape;
    const auto kernel =
        rows_in_packs(shape[2], {table, positions, x}) ? embedding_packs_kernel<T> : embedding_kernel<T>;
    return [=, rows = static_cast<unsigned>(shape.rows()), sequence = shape[1], features = shape[2],
            control = binding.control](const CudaIssue& issue) {
      launch(kernel, rows, threads_for_row(features), 0, issue.stream, tokens, control, table, positions, x, sequence,
             features);
    };
  });
}

}  // namespace stepscope
