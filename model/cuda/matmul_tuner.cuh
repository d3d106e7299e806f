// Measures the library's algorithms for a matmul on random numbers, as a step would meet them: with nothing of it in the card's caches.
//     MatmulTuner tuner;
//     const std::optional<MatmulChoice> choice = tuner.fastest(problem);       // none: the card has no room for it, or no algorithm
#pragma once

#include <optional>
#include <vector>

#include "model/base/philox.h"
#include "model/cuda/handles.cuh"
#include "model/cuda/matmul.cuh"
#include "model/cuda/pack.cuh"

namespace stepscope {

// Numbers of [-1, 1) and no zeros, which cost a card less power than what is really multiplied, and so time.
template <class T>
__global__ void __launch_bounds__(element_threads)
    tuning_numbers_kernel(T* numbers, std::int64_t n, std::uint32_t key) {
  const std::int64_t i = grid_thread();
  if (i >= n) return;
  const auto low = static_cast<std::uint32_t>(i), high = static_cast<std::uint32_t>(i >> 32);
  const float number = 2 * uniform(philox(key, 0, {{low, high, 0, 0}}).word[0]) - 1;
  numbers[i] = store<T>(number == 0 ? 0.5f : number);
}

inline constexpr int tuning_rounds = 21;  // each runs every candidate once, so that drift meets all of them
inline constexpr double tuning_tie = 0.01;  // so close to the fastest, the library's order decides

class MatmulTuner {
 public:
  MatmulTuner();  // on the current card
  [[nodiscard]] std::optional<MatmulChoice> fastest(const MatmulProblem& problem);

 private:
  [[nodiscard]] std::vector<std::vector<double>> times_of(const CudaMatmul& matmul,
                                                          std::vector<MatmulAlgorithm>& candidates, bool add);
  Stream stream_;
  MatmulLibrary library_;
  DeviceMemory other_data_;  // what displaces operands from the caches
  StreamMark begin_{true}, end_{true};
};

}  // namespace stepscope
