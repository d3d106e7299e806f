// Measures the library's algorithms for a matmul on random numbers, as a step would meet them: with nothing of it in the card's caches.
//     MatmulTuner tuner;
//     const std::optional<MatmulChoice> choice = tuner.fastest(problem);       // none: the card has no room for it, or no algorithm
#pragma once

#include <optional>
#include <vector>

#include "model/cuda/handles.cuh"
#include "model/cuda/matmul.cuh"

namespace stepscope {

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
