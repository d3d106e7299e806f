#include "model/operations/embedding/embedding_cuda.cuh"

#include <climits>

#include "model/cuda/pack.cuh"
#include "model/cuda/team.cuh"
#include "model/operations/embedding/embedding_body.h"

namespace stepscope {

struct TokensOfStep {
  const std::int32_t* first;
  std::int64_t micro_stride;
  [[nodiscard]] __device__ __forceinline__ const std::int32_t* now(const ControlBlock& control) const {
    return first + control.micro_step * micro_stride;
  }
};

// A block a token. Moves H elements of x and as many of two fp32 rows.
template <class T>
__global__ void embedding_kernel(TokensOfStep tokens, const ControlBlock* control, const float* table,
                                 const float* positions, T* x, std::int64_t sequence, std::int64_t features) {
  const std::int64_t row = blockIdx.x;
  const float* position = positions == nullptr ? nullptr : positions + row % sequence * features;
  embedding_row(BlockTeam{}, table + tokens.now(*control)[row] * features, position, x + row * features, features);
}

static __global__ void __launch_bounds__(element_threads) no_places_kernel(int* first_place, std::int64_t rows) {
  if (grid_thread() < rows) first_place[grid_thread()] = INT_MAX;
}

// Where each token is found first. A minimum of integers: the order of its candidates changes nothing.
static __global__ void __launch_bounds__(element_threads)
    first_places_kernel(TokensOfStep tokens, const ControlBlock* control, int* first_place, std::int64_t count) {
  if (grid_thread() < count)
    atomicMin(first_place + tokens.now(*control)[grid_thread()], static_cast<int>(grid_thread()));
}

// A warp a place: where a token is found first, its row gets the gradients of all its places, in their order. Reads all later tokens.
template <class T>
__global__ void table_gradient_kernel(TokensOfStep tokens, const ControlBlock* control, const int* first_place,
                                      const T* dx, float* table, std::int64_t count, std::int64_t features) {
  const std::int64_t place = blockIdx.x;
  const std::int32_t* all = tokens.now(*control);
  const std::int32_t token = all[place];
  if (first_place[token] != place) return;
  const std::int64_t lane = threadIdx.x;
  for (std::int64_t from = place; from < count; from += warp_lanes) {
    const bool same = from + lane < count && all[from + lane] == token;
    for (unsigned places = __ballot_sync(whole_warp, same); places != 0; places &= places - 1) {
      const std::int64_t row = from + __ffs(static_cast<int>(places)) - 1;
      embedding_gradient_row<WarpTeam, T>(WarpTeam{}, dx + row * features, table + token * features, nullptr, 0,
                                          features);
    }
  }
}

// A block a position: the sum over the rows of the batch, in their order.
template <class T>
__global__ void positions_gradient_kernel(const T* dx, float* positions, std::int64_t batch, std::int64_t sequence,
                                          std::int64_t features) {
  float* const sum = positions + blockIdx.x * features;
  for (std::int64_t b = 0; b < batch; ++b)
    embedding_gradient_row<BlockTeam, T>(BlockTeam{}, dx + (b * sequence + blockIdx.x) * features, sum, nullptr, 0,
                                         features);
}

CudaRun bind_embedding_cuda(const CudaBinding& binding) {
  return dispatch_cuda(binding.out_type(0).dtype, [&]<class T>() -> CudaRun {
    const TokensOfStep tokens{binding.in<const std::int32_t>(0), binding.in_view(0).micro_stride};
    const float* table = binding.in<const float>(1);
    const float* positions = binding.ins.size() > 2 ? binding.in<const float>(2) : nullptr;
    T* x = binding.out<T>(0);
    const Shape& shape = binding.out_type(0).shape;
    return [=, rows = static_cast<unsigned>(shape.rows()), sequence = shape[1], features = shape[2],
            control = binding.control](const CudaIssue& issue) {
      launch(embedding_kernel<T>, rows, threads_for_row(features), 0, issue.stream, tokens, control, table, positions,
             x, sequence, features);
    };
  });
}

// The first place of each row of the table.
std::int64_t embedding_gradient_cuda_workspace(const Program& program, const Operation& op) {
  return program.state(op.writes[0].state).type.shape[0] * static_cast<std::int64_t>(sizeof(int));
}

namespace {

struct Gradient {  // of the table or of positions
  float* first = nullptr;
  Accumulate mode = Accumulate::no;
  std::int64_t elements = 0;

  Gradient() = default;
  Gradient(const CudaBinding& binding, int write)
      : first(binding.write<float>(write)),
        mode(binding.operation->writes[static_cast<std::size_t>(write)].accumulate),
        elements(binding.write_type(write).shape.elements()) {
    if (binding.write_type(write).dtype != DType::fp32)
      throw Unsupported("CUDA: embedding_gradient sums in fp32 gradients alone");
  }
  void begin(const CudaIssue& issue) const {
    if (!adds(mode, issue.first_micro_step))
      STEPSCOPE_CUDA(cudaMemsetAsync(first, 0, static_cast<std::size_t>(elements) * sizeof(float), issue.stream));
  }
};

template <class T>
CudaRun bind_embedding_gradient(const CudaBinding& binding) {
  const T* dx = binding.in<const T>(0);
  const TokensOfStep tokens{binding.in<const std::int32_t>(1), binding.in_view(1).micro_stride};
  const Gradient table(binding, 0), positions = binding.writes.size() > 1 ? Gradient(binding, 1) : Gradient();
  const Shape& shape = binding.in_view(0).shape;
  const std::int64_t rows = shape.rows(), batch = shape[0], sequence = shape[1], features = shape[2],
                     vocabulary = binding.write_type(0).shape[0];
  auto* first_place = reinterpret_cast<int*>(binding.workspace);
  return [=, control = binding.control](const CudaIssue& issue) {
    table.begin(issue);
    launch(no_places_kernel, element_launch(vocabulary, 1, {}).grid, element_threads, 0, issue.stream, first_place,
           vocabulary);
    launch(first_places_kernel, element_launch(rows, 1, {}).grid, element_threads, 0, issue.stream, tokens, control,
           first_place, rows);
    launch(table_gradient_kernel<T>, static_cast<unsigned>(rows), warp_lanes, 0, issue.stream, tokens, control,
           first_place, dx, table.first, rows, features);
    if (positions.first == nullptr) return;
    positions.begin(issue);
    launch(positions_gradient_kernel<T>, static_cast<unsigned>(sequence), threads_for_row(features), 0, issue.stream,
           dx, positions.first, batch, sequence, features);
  };
}

}  // namespace

CudaRun bind_embedding_gradient_cuda(const CudaBinding& binding) {
  return dispatch_cuda(binding.in_dtype(0), [&]<class T>() { return bind_embedding_gradient<T>(binding); });
}

}  // namespace stepscope
