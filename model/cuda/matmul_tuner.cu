#include "model/cuda/matmul_tuner.cuh"

#include <algorithm>

namespace stepscope {

namespace {

// From the first element of a matrix of stored rows to the last of the last one of its batch.
std::int64_t elements_of(std::int64_t rows, std::int64_t stride, const MatmulBatch& batch, std::int64_t batch_stride) {
  return (batch.count - 1) * batch_stride + rows * stride;
}

class TuningOperand {  // random numbers, aligned as the problem's operand is and no better
 public:
  TuningOperand(const Stream& stream, DType dtype, std::int64_t count, std::uint32_t alignment, std::uint32_t key)
      : shift_(alignment % 256), memory_(static_cast<std::size_t>(round_up(count * size_bytes(dtype) + shift_, 256))) {
    dispatch_number(dtype, [&]<class T>() {
      launch(tuning_numbers_kernel<T>, element_launch(count, 1, {}).grid, element_threads, 0, stream.get(),
             reinterpret_cast<T*>(at()), count, key);
    });
  }
  [[nodiscard]] std::byte* at() const { return memory_.data() + shift_; }

 private:
  template <class Body>
  static void dispatch_number(DType dtype, Body&& body) {
    switch (dtype) {
      case DType::bf16: return body.template operator()<bf16>();
      case DType::fp16: return body.template operator()<fp16>();
      default: return body.template operator()<float>();
    }
  }
  std::uint32_t shift_;
  DeviceMemory memory_;
};

std::size_t bytes_of_caches() {
  constexpr std::size_t least = std::size_t{1} << 20;
  int card = 0;
  STEPSCOPE_CUDA(cudaGetDevice(&card));
  cudaDeviceProp properties{};
  STEPSCOPE_CUDA(cudaGetDeviceProperties(&properties, card));
  return std::max(least, 2 * static_cast<std::size_t>(properties.l2CacheSize));
}

double median_ns(std::vector<double>& milliseconds) {
  const auto middle = milliseconds.begin() + std::ssize(milliseconds) / 2;
  std::nth_element(milliseconds.begin(), middle, milliseconds.end());
  return *middle * 1e6;
}

}  // namespace

MatmulTuner::MatmulTuner() : other_data_(bytes_of_caches()) {}

// By candidate; one that the library refuses when it shall run is left out.
std::vector<std::vector<double>> MatmulTuner::times_of(const CudaMatmul& matmul,
                                                       std::vector<MatmulAlgorithm>& candidates, bool add) {
  std::erase_if(candidates, [&](const MatmulAlgorithm& one) { return !matmul.try_issue(one, stream_.get(), add); });
  std::vector<std::vector<double>> times(candidates.size());
  for (int round = 0; round < tuning_rounds; ++round)
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      STEPSCOPE_CUDA(cudaMemsetAsync(other_data_.data(), round, other_data_.bytes(), stream_.get()));
      begin_.record(stream_.get());
      (void)matmul.try_issue(candidates[i], stream_.get(), add);
      end_.record(stream_.get());
      stream_.synchronise();
      times[i].push_back(end_.milliseconds_since(begin_));
    }
  return times;
}

std::optional<MatmulChoice> MatmulTuner::fastest(const MatmulProblem& problem) try {
  const MatmulSpec& s = problem.spec;
  const MatmulBatch& batch = problem.batch;
  const TuningOperand a(stream_, s.in, elements_of(s.transpose_a ? s.k : s.m, s.a_stride, batch, batch.a_stride),
                        problem.alignment.a, 1),
      b(stream_, s.in, elements_of(s.transpose_b ? s.n : s.k, s.b_stride, batch, batch.b_stride), problem.alignment.b,
        2),
      c(stream_, s.out, elements_of(s.m, s.c_stride, batch, batch.c_stride), problem.alignment.c, 3),
      bias(stream_, s.out, s.n, 256, 4);
  const bool has_aux = problem.epilogue == MatmulEpilogue::gelu_bias || problem.epilogue == MatmulEpilogue::gelu_slope;
  const TuningOperand aux(stream_, s.out, has_aux ? s.m * s.n : 1, 256, 5);
  const DeviceMemory workspace(static_cast<std::size_t>(matmul_workspace_bytes(s)));
  const std::optional<CudaMatmul> matmul =
      CudaMatmul::if_possible(library_, s, problem.tf32,
                              {a.at(), b.at(), c.at(), bias.at(), workspace.data(), aux.at()}, batch, problem.epilogue);
  if (!matmul) return std::nullopt;
  std::vector<MatmulAlgorithm> candidates = matmul->candidates();
  std::vector<std::vector<double>> times = times_of(*matmul, candidates, s.may_add);
  stream_.synchronise();  // before operands go
  if (candidates.empty()) return std::nullopt;
  std::vector<double> medians;
  for (std::vector<double>& one : times) medians.push_back(median_ns(one));
  const double best = *std::ranges::min_element(medians);
  const auto first = std::ranges::find_if(medians, [&](double ns) { return ns <= best * (1 + tuning_tie); });
  const auto rank = static_cast<std::size_t>(first - medians.begin());
  MatmulChoice choice{.workspace_bytes = static_cast<std::int64_t>(candidates[rank].workspace_bytes),
                      .split_k = split_k_of(candidates[rank]),
                      .rank = static_cast<int>(rank),
                      .tried = static_cast<int>(candidates.size()),
                      .median_ns = medians[rank],
                      .first_ns = medians.front()};
  std::ranges::copy(candidates[rank].words.data, choice.algorithm.begin());
  return choice;
} catch (const OutOfMemory&) {
  STEPSCOPE_CUDA_NOTHROW(cudaStreamSynchronize(stream_.get()));  // operands that could be had were written
  return std::nullopt;
}

}  // namespace stepscope
