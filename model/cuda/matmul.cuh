// Matmuls by cuBLASLt: c [m,n] = a [m,k] b [k,n] (+ bias), or c += a b, row-major, sums in fp32.
//     const CudaMatmul matmul(library, spec, tf32, {.a = x, .b = weight, .c = y, .workspace = workspace});     // when a program is bound
//     matmul.issue(stream, false);
//     const CudaMatmul heads(library, spec, tf32, addresses, {.count = B * H, .a_stride = S * D, ...});     // many in one call
// cuBLASLt's matrices are column-major, so it is asked for the transpose of c: b's rows times a's. Throws MachineError where it refuses.
// The algorithm is the one that was measured to be fastest, where the library has a tuning that knows the matmul, else the first of the
// heuristic's answers that holds: equal problems take equal algorithms, so that what is made again has the same bits.
#pragma once

#include <cublasLt.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "model/cuda/handles.cuh"
#include "model/cuda/matmul_tuning.h"

namespace stepscope {

// What a call may take of the arena: room for sixteen partial sums where an algorithm splits k, at most what NVIDIA advises for Hopper.
[[nodiscard]] inline std::int64_t matmul_workspace_bytes(const MatmulSpec& spec) {
  constexpr std::int64_t least = std::int64_t{64} << 10, most = std::int64_t{32} << 20;
  const std::int64_t sums = 16 * spec.m * spec.n * static_cast<std::int64_t>(sizeof(float));
  return round_up(sums < most - least ? least + sums : most, 256);
}

using MatmulProblems = std::map<std::string, MatmulProblem>;  // by signature

class MatmulLibrary {
 public:
  explicit MatmulLibrary(std::shared_ptr<const MatmulTuning> tuning = {});
  ~MatmulLibrary();
  MatmulLibrary(const MatmulLibrary&) = delete;
  MatmulLibrary& operator=(const MatmulLibrary&) = delete;
  [[nodiscard]] cublasLtHandle_t get() const { return handle_; }
  [[nodiscard]] const MatmulChoice* choice(const std::string& signature) const;  // null: it was not tuned

  // From now on a CudaMatmul is written down here instead of being given an algorithm: it can never be issued.
  void only_list(MatmulProblems& problems) { listed_ = &problems; }
  [[nodiscard]] MatmulProblems* listed() const { return listed_; }

 private:
  cublasLtHandle_t handle_ = nullptr;
  std::shared_ptr<const MatmulTuning> tuning_;
  MatmulProblems* listed_ = nullptr;
};

struct CudaMatmulAddresses {
  const void* a = nullptr;
  const void* b = nullptr;
  void* c = nullptr;
  const void* bias = nullptr;  // [n], of c's type; only where spec.bias
  std::byte* workspace = nullptr;  // matmul_workspace_bytes, 256-byte aligned
  void* aux = nullptr;  // [m, n] without gaps, of c's type: written by gelu_bias, read by gelu_slope
};

struct MatmulAlgorithm {
  cublasLtMatmulAlgo_t words{};
  std::size_t workspace_bytes = 0;
};

class CudaMatmul {
 public:
  // tf32: fp32 operands are rounded to 11 bits, for tensor cores. Addresses say how operands are aligned. An epilogue beside that of
  // spec.bias wants n to be a multiple of 8, and c without gaps.
  CudaMatmul(const MatmulLibrary& library, const MatmulSpec& spec, bool tf32, const CudaMatmulAddresses& at,
             const MatmulBatch& batch = {}, MatmulEpilogue epilogue = MatmulEpilogue::none);
  // The same, or nothing where the library has no algorithm for it.
  static std::optional<CudaMatmul> if_possible(const MatmulLibrary& library, const MatmulSpec& spec, bool tf32,
                                               const CudaMatmulAddresses& at, const MatmulBatch& batch,
                                               MatmulEpilogue epilogue);
  void issue(cudaStream_t stream, bool add) const;  // add: only where spec.may_add

  // For those who choose: the heuristic's answers that hold and fit the workspace, best guess first.
  [[nodiscard]] std::vector<MatmulAlgorithm> candidates() const;
  [[nodiscard]] bool try_issue(const MatmulAlgorithm& algorithm, cudaStream_t stream,
                               bool add) const;  // false: refused

 private:
  struct Free {
    void operator()(cublasLtMatmulDesc_t desc) const { cublasLtMatmulDescDestroy(desc); }
    void operator()(cublasLtMatrixLayout_t layout) const { cublasLtMatrixLayoutDestroy(layout); }
  };
  using Desc = std::unique_ptr<std::remove_pointer_t<cublasLtMatmulDesc_t>, Free>;
  using Layout = std::unique_ptr<std::remove_pointer_t<cublasLtMatrixLayout_t>, Free>;
  struct Described {};
  CudaMatmul(Described, const MatmulLibrary& library, const MatmulSpec& spec, bool tf32, const CudaMatmulAddresses& at,
             const MatmulBatch& batch, MatmulEpilogue epilogue);
  void describe_epilogue();
  [[nodiscard]] bool choose_algorithm();  // false: there is none
  [[nodiscard]] std::optional<MatmulAlgorithm> checked(const cublasLtMatmulAlgo_t& words) const;

  const MatmulLibrary* library_;
  MatmulProblem problem_;
  CudaMatmulAddresses at_;
  Desc desc_;
  Layout left_, right_, result_;  // as cuBLASLt sees them: b, a, c
  MatmulAlgorithm algorithm_;
};

// What the library's answers say of themselves: parts that k is cut into.
[[nodiscard]] int split_k_of(const MatmulAlgorithm& algorithm);

}  // namespace stepscope
