// The gradient of embedding: places are sorted by their token, then the rows of equal tokens are added in the order of their places, in
// two stages, so that a frequent token takes no longer than the others and the bits depend on nothing but the batch.
//     stage 1   32 sorted places at a time: a run of one token that lies within them is added to the gradient, an open one is kept
//     stage 2   a run over several such pieces: its open sums, in order, are added to the gradient
// Sums are fp32; a narrow gradient is rounded once a micro-step.
#include "model/cuda/pack.cuh"
#include "model/cuda/tensor_groups.cuh"
#include "model/cuda/tile.cuh"
#include "model/operations/embedding/embedding_cuda.cuh"
#include "model/operations/embedding/tokens_of_step.cuh"

namespace stepscope {

constexpr unsigned ranking_threads = 128;
constexpr int places_a_piece = 32, rows_at_once = 8;

// A thread a place: how many places come before it, by token and then by place. N^2 comparisons, from the first cache: at 8,192 tokens
// less than a sort of several passes would take to launch.
static __global__ void __launch_bounds__(ranking_threads)
    rank_places_kernel(TokensOfStep tokens, const ControlBlock* control, int* sorted, int count) {
  const auto place = static_cast<int>(grid_thread());
  if (place >= count) return;
  const std::int32_t* all = tokens.now(*control);
  const std::int32_t mine = all[place];
  int before = 0;
  for (int other = 0; other < count; ++other)
    before += all[other] < mine || (all[other] == mine && other < place) ? 1 : 0;
  sorted[before] = place;
}

struct SortedPlaces {
  const std::int32_t* tokens;
  const int* places;
  int count;

  [[nodiscard]] __device__ __forceinline__ std::int32_t token(int i) const { return tokens[places[i]]; }
  // Whether a run of one token goes on over the end of what begins with place i.
  [[nodiscard]] __device__ __forceinline__ bool joins_at(int i) const {
    return i > 0 && i < count && token(i - 1) == token(i);
  }
};

struct EmbeddingGradient {  // of the table or of positions
  std::byte* first;
  DType dtype;

  __device__ __forceinline__ void add(std::int64_t at, float sum) const {
    with_elements(dtype, first, at, [=](auto* g) { *g = store<std::remove_pointer_t<decltype(g)>>(load(*g) + sum); });
  }
};

// Block (x, y): 128 features of the y-th piece. Moves each element of dx once. open [pieces][2][H]: the sum of the run that goes on from
// the piece before, and of the one that begins here and goes on in the next.
template <class T>
__global__ void __launch_bounds__(columns_a_block)
    table_runs_kernel(TokensOfStep tokens, const ControlBlock* control, const int* places, const T* dx,
                      EmbeddingGradient table, float* open, int count, std::int64_t features) {
  const std::int64_t feature = std::int64_t{blockIdx.x} * columns_a_block + threadIdx.x;
  if (feature >= features) return;
  const SortedPlaces sorted{tokens.now(*control), places, count};
  const int begin = static_cast<int>(blockIdx.y) * places_a_piece;
  const int end = begin + places_a_piece < count ? begin + places_a_piece : count;
  bool joined = sorted.joins_at(begin);
  float sum = 0;
  for (int i = begin; i < end; i += rows_at_once) {
    float rows[rows_at_once];
    STEPSCOPE_UNROLL
    for (int k = 0; k < rows_at_once; ++k) rows[k] = i + k < end ? load(dx[places[i + k] * features + feature]) : 0;
    STEPSCOPE_UNROLL
    for (int k = 0; k < rows_at_once; ++k) {
      if (i + k >= end) break;
      sum += rows[k];
      const bool goes_on = sorted.joins_at(i + k + 1);
      if (goes_on && i + k + 1 < end) continue;
      if (joined || goes_on)
        open[(2 * std::int64_t{blockIdx.y} + (joined ? 0 : 1)) * features + feature] = sum;
      else
        table.add(sorted.token(i + k) * features + feature, sum);
      sum = 0;
      joined = false;
    }
  }
}

// A block's piece whose last run goes on: adds that run's sums.
static __global__ void __launch_bounds__(columns_a_block)
    table_joins_kernel(TokensOfStep tokens, const ControlBlock* control, const int* places, const float* open,
                       EmbeddingGradient table, int count, std::int64_t features) {
  const std::int64_t feature = std::int64_t{blockIdx.x} * columns_a_block + threadIdx.x;
  const SortedPlaces sorted{tokens.now(*control), places, count};
  int piece = static_cast<int>(blockIdx.y), past = (piece + 1) * places_a_piece;
  if (feature >= features || !sorted.joins_at(past)) return;
  const std::int32_t token = sorted.token(past);
  if (sorted.token(piece * places_a_piece) == token && sorted.joins_at(piece * places_a_piece))
    return;  // began earlier
  float sum = open[(2 * std::int64_t{piece} + 1) * features + feature];
  do {
    ++piece, past += places_a_piece;
    sum += open[2 * std::int64_t{piece} * features + feature];
  } while (sorted.joins_at(past) && sorted.token(past) == token);
  table.add(token * features + feature, sum);
}

// Block (x, y): 128 features of position y, summed over the rows of the batch, in their order.
template <class T>
__global__ void __launch_bounds__(columns_a_block)
    positions_gradient_kernel(const T* dx, EmbeddingGradient positions, std::int64_t batch, std::int64_t sequence,
                              std::int64_t features) {
  const std::int64_t feature = std::int64_t{blockIdx.x} * columns_a_block + threadIdx.x, position = blockIdx.y;
  if (feature >= features) return;
  float sum = 0;
  for (std::int64_t b = 0; b < batch; ++b) sum += load(dx[(b * sequence + position) * features + feature]);
  positions.add(position * features + feature, sum);
}

static std::int64_t pieces_of(std::int64_t places) { return (places + places_a_piece - 1) / places_a_piece; }

// Open sums, then the sorted places.
std::int64_t embedding_gradient_cuda_workspace(const Program&, const Operation& op) {
  const Shape& shape = op.ins[0].view.shape;
  return pieces_of(shape.rows()) * 2 * shape.last() * static_cast<std::int64_t>(sizeof(float)) +
         shape.rows() * static_cast<std::int64_t>(sizeof(int));
}

namespace {

struct Target {
  EmbeddingGradient gradient{};
  Accumulate mode = Accumulate::no;
  std::int64_t bytes = 0;

  Target() = default;
  Target(const CudaBinding& binding, int write)
      : gradient{binding.write<std::byte>(write), binding.write_type(write).dtype},
        mode(binding.operation->writes[static_cast<std::size_t>(write)].accumulate),
        bytes(binding.write_type(write).size_bytes()) {}
  void begin(const CudaIssue& issue) const {  // a zero of any type is zero bytes
    if (!adds(mode, issue.first_micro_step))
      STEPSCOPE_CUDA(cudaMemsetAsync(gradient.first, 0, static_cast<std::size_t>(bytes), issue.stream));
  }
};

template <class T>
CudaRun bind_embedding_gradient(const CudaBinding& binding) {
  const T* dx = binding.in<const T>(0);
  const TokensOfStep tokens{binding.in<const std::int32_t>(1), binding.in_view(1).micro_stride};
  const Target table(binding, 0), positions = binding.writes.size() > 1 ? Target(binding, 1) : Target();
  const Shape& shape = binding.in_view(0).shape;
  const auto rows = static_cast<int>(shape.rows());
  const std::int64_t batch = shape[0], sequence = shape[1], features = shape[2];
  auto* open = reinterpret_cast<float*>(binding.workspace);
  auto* sorted = reinterpret_cast<int*>(open + pieces_of(rows) * 2 * features);
  return [=, control = binding.control](const CudaIssue& issue) {
    const unsigned ranking_blocks = (static_cast<unsigned>(rows) + ranking_threads - 1) / ranking_threads;
    const dim3 pieces(column_blocks(features), static_cast<unsigned>(pieces_of(rows))),
        of_positions(column_blocks(features), static_cast<unsigned>(sequence));
    table.begin(issue);
    launch(rank_places_kernel, ranking_blocks, ranking_threads, 0, issue.stream, tokens, control, sorted, rows);
    launch(table_runs_kernel<T>, pieces, columns_a_block, 0, issue.stream, tokens, control, sorted, dx, table.gradient,
           open, rows, features);
    launch(table_joins_kernel, pieces, columns_a_block, 0, issue.stream, tokens, control, sorted, open, table.gradient,
           rows, features);
    if (positions.gradient.first == nullptr) return;
    positions.begin(issue);
    launch(positions_gradient_kernel<T>, of_positions, columns_a_block, 0, issue.stream, dx, positions.gradient, batch,
           sequence, features);
  };
}

}  // namespace

CudaRun bind_embedding_gradient_cuda(const CudaBinding& binding) {
  return dispatch_cuda(binding.in_dtype(0), [&]<class T>() { return bind_embedding_gradient<T>(binding); });
}

}  // namespace stepscope
