// Which of cuBLASLt's algorithms a matmul takes on one card: measured once (model/execution/tune_matmuls.h), read by every process after.
// Plain C++: builds without CUDA read and check such a file too.
//     const auto found = tuning.choices.find(signature_of(problem));       // none: the library's first answer
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>

#include "model/base/matmul_spec.h"

namespace stepscope {

struct MatmulBatch {  // how far apart the operands of one matmul and the next begin, in elements; 0: they share it
  std::int64_t count = 1, a_stride = 0, b_stride = 0, c_stride = 0;
};

// What is done to the sums before they are rounded: c = gelu(sums + bias), with sums + bias beside it; c = sums gelu'(aux).
enum class MatmulEpilogue : std::uint8_t { none, bias, gelu_bias, gelu_slope };

struct MatmulAlignment {  // bytes, powers of two up to 256
  std::uint32_t a = 256, b = 256, c = 256;
  bool operator==(const MatmulAlignment&) const = default;
};

// All that an algorithm is chosen by.
struct MatmulProblem {
  MatmulSpec spec;
  MatmulBatch batch = {};
  bool tf32 = false;
  MatmulEpilogue epilogue = MatmulEpilogue::none;
  MatmulAlignment alignment = {};
};

// One line, the same for problems that differ in addresses alone: "bf16 > fp32 768 x 3072 x 8192, a 768 transposed, b 3072, c 3072, adds".
[[nodiscard]] std::string signature_of(const MatmulProblem& problem);

inline constexpr std::size_t algorithm_words = 8;  // of cublasLtMatmulAlgo_t, which nobody but the library can read

struct MatmulChoice {
  std::array<std::uint64_t, algorithm_words> algorithm{};
  std::int64_t workspace_bytes = 0;
  int split_k = 1;  // parts that k is cut into; they are added in a fixed order
  int rank = 0;  // in the order of the library's answers, from 0
  int tried = 1;  // answers that were measured
  double median_ns = 0, first_ns = 0;  // its own, and that of the first answer
};

struct MatmulTuning {
  std::string card;  // its UUID
  std::int64_t library = 0;  // cuBLASLt's version: 130100
  std::map<std::string, MatmulChoice> choices = {};  // by signature
};

}  // namespace stepscope
