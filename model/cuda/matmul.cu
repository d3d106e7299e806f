#include "model/cuda/matmul.cuh"

#include <algorithm>
#include <array>
#include <string>

#include "model/base/error.h"

namespace stepscope {

namespace {

void check_lt(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw MachineError("cuBLASLt: " + std::string(what) + ": status " + std::to_string(static_cast<int>(status)));
}

cudaDataType cuda_type(DType dtype) {
  switch (dtype) {
    case DType::fp32: return CUDA_R_32F;
    case DType::bf16: return CUDA_R_16BF;
    case DType::fp16: return CUDA_R_16F;
    default: throw Unsupported("CUDA: no matmul of " + std::string(name_of(dtype)));
  }
}

// A row-major matrix of so many stored rows is a column-major one of so many columns.
cublasLtMatrixLayout_t make_layout(DType dtype, std::int64_t stored_rows, std::int64_t stored_columns,
                                   std::int64_t stride) {
  cublasLtMatrixLayout_t layout = nullptr;
  check_lt(cublasLtMatrixLayoutCreate(&layout, cuda_type(dtype), static_cast<std::uint64_t>(stored_columns),
                                      static_cast<std::uint64_t>(stored_rows), stride),
           "a layout");
  return layout;
}

void set_batch(cublasLtMatrixLayout_t layout, std::int64_t count, std::int64_t stride) {
  const auto matrices = static_cast<std::int32_t>(count);
  check_lt(cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &matrices, sizeof(matrices)),
           "a batch");
  check_lt(
      cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride, sizeof(stride)),
      "a batch");
}

template <class T>
void set(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t which, const T& value, const char* what) {
  check_lt(cublasLtMatmulDescSetAttribute(desc, which, &value, sizeof(value)), what);
}

// Of the first of a batch and of all that follow it.
std::uint32_t alignment_of(const void* address, std::int64_t stride, DType dtype) {
  const auto at = reinterpret_cast<std::uintptr_t>(address) | static_cast<std::uintptr_t>(stride * size_bytes(dtype));
  return static_cast<std::uint32_t>(std::min<std::uintptr_t>(at & (~at + 1), 256));
}

}  // namespace

MatmulLibrary::MatmulLibrary(std::shared_ptr<const MatmulTuning> tuning) : tuning_(std::move(tuning)) {
  check_lt(cublasLtCreate(&handle_), "cublasLtCreate");
}
MatmulLibrary::~MatmulLibrary() { (void)cublasLtDestroy(handle_); }

const MatmulChoice* MatmulLibrary::choice(const std::string& signature) const {
  if (tuning_ == nullptr) return nullptr;
  const auto found = tuning_->choices.find(signature);
  return found == tuning_->choices.end() ? nullptr : &found->second;
}

CudaMatmul::CudaMatmul(const MatmulLibrary& library, const MatmulSpec& spec, bool tf32, const CudaMatmulAddresses& at,
                       const MatmulBatch& batch, MatmulEpilogue epilogue)
    : CudaMatmul(Described{}, library, spec, tf32, at, batch, epilogue) {
  if (!choose_algorithm()) throw MachineError("cuBLASLt: no algorithm for the matmul " + signature_of(problem_));
}

std::optional<CudaMatmul> CudaMatmul::if_possible(const MatmulLibrary& library, const MatmulSpec& spec, bool tf32,
                                                  const CudaMatmulAddresses& at, const MatmulBatch& batch,
                                                  MatmulEpilogue epilogue) {
  CudaMatmul matmul(Described{}, library, spec, tf32, at, batch, epilogue);
  if (!matmul.choose_algorithm()) return std::nullopt;
  return matmul;
}

CudaMatmul::CudaMatmul(Described, const MatmulLibrary& library, const MatmulSpec& s, bool tf32,
                       const CudaMatmulAddresses& at, const MatmulBatch& batch, MatmulEpilogue epilogue)
    : library_(&library),
      problem_{.spec = s,
               .batch = batch,
               .tf32 = tf32,
               .epilogue = epilogue == MatmulEpilogue::none && s.bias ? MatmulEpilogue::bias : epilogue,
               .alignment = {.a = alignment_of(at.a, batch.a_stride, s.in),
                             .b = alignment_of(at.b, batch.b_stride, s.in),
                             .c = alignment_of(at.c, batch.c_stride, s.out)}},
      at_(at) {
  cublasLtMatmulDesc_t desc = nullptr;
  check_lt(cublasLtMatmulDescCreate(&desc, tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F),
           "a descriptor");
  desc_.reset(desc);
  const cublasOperation_t left = s.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N,
                          right = s.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N;
  set(desc, CUBLASLT_MATMUL_DESC_TRANSA, left, "transposing the left operand");
  set(desc, CUBLASLT_MATMUL_DESC_TRANSB, right, "transposing the right operand");
  describe_epilogue();
  left_.reset(s.transpose_b ? make_layout(s.in, s.n, s.k, s.b_stride) : make_layout(s.in, s.k, s.n, s.b_stride));
  right_.reset(s.transpose_a ? make_layout(s.in, s.k, s.m, s.a_stride) : make_layout(s.in, s.m, s.k, s.a_stride));
  result_.reset(make_layout(s.out, s.m, s.n, s.c_stride));
  if (batch.count > 1) {
    set_batch(left_.get(), batch.count, batch.b_stride);
    set_batch(right_.get(), batch.count, batch.a_stride);
    set_batch(result_.get(), batch.count, batch.c_stride);
  }
}

// A bias runs along the rows of the column-major result, which are our columns.
void CudaMatmul::describe_epilogue() {
  const auto describe = [&](cublasLtEpilogue_t epilogue) {
    set(desc_.get(), CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue, "the epilogue");
  };
  switch (problem_.epilogue) {
    case MatmulEpilogue::none: return;
    case MatmulEpilogue::bias: describe(CUBLASLT_EPILOGUE_BIAS); break;
    case MatmulEpilogue::gelu_bias: describe(CUBLASLT_EPILOGUE_GELU_AUX_BIAS); break;
    case MatmulEpilogue::gelu_slope: describe(CUBLASLT_EPILOGUE_DGELU); break;
  }
  if (problem_.epilogue != MatmulEpilogue::gelu_slope)
    set(desc_.get(), CUBLASLT_MATMUL_DESC_BIAS_POINTER, at_.bias, "the bias");
  if (problem_.epilogue == MatmulEpilogue::bias) return;
  set(desc_.get(), CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, at_.aux, "the matrix beside the result");
  set(desc_.get(), CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, problem_.spec.n, "the matrix beside the result");
}

bool CudaMatmul::choose_algorithm() {
  const std::string signature = signature_of(problem_);
  if (MatmulProblems* const listed = library_->listed(); listed != nullptr) {
    listed->emplace(signature, problem_);
    return true;
  }
  if (const MatmulChoice* const choice = library_->choice(signature)) {
    cublasLtMatmulAlgo_t words{};
    std::copy(choice->algorithm.begin(), choice->algorithm.end(), words.data);
    if (const std::optional<MatmulAlgorithm> held = checked(words)) {
      algorithm_ = *held;
      return true;
    }
  }
  const std::vector<MatmulAlgorithm> held = candidates();
  if (held.empty()) return false;
  algorithm_ = held.front();
  return true;
}

// Nothing where the library refuses it on this card, or it wants more workspace than was planned.
std::optional<MatmulAlgorithm> CudaMatmul::checked(const cublasLtMatmulAlgo_t& words) const {
  cublasLtMatmulHeuristicResult_t result{};
  const cublasStatus_t status = cublasLtMatmulAlgoCheck(library_->get(), desc_.get(), left_.get(), right_.get(),
                                                        result_.get(), result_.get(), &words, &result);
  const auto cap = static_cast<std::size_t>(matmul_workspace_bytes(problem_.spec));
  if (status != CUBLAS_STATUS_SUCCESS || result.state != CUBLAS_STATUS_SUCCESS || result.workspaceSize > cap)
    return std::nullopt;
  return MatmulAlgorithm{words, result.workspaceSize};
}

std::vector<MatmulAlgorithm> CudaMatmul::candidates() const {
  cublasLtMatmulPreference_t made = nullptr;
  check_lt(cublasLtMatmulPreferenceCreate(&made), "a preference");
  const std::unique_ptr<std::remove_pointer_t<cublasLtMatmulPreference_t>, decltype(&cublasLtMatmulPreferenceDestroy)>
      preference(made, cublasLtMatmulPreferenceDestroy);
  const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t which, auto value) {
    check_lt(cublasLtMatmulPreferenceSetAttribute(preference.get(), which, &value, sizeof(value)), "a preference");
  };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, static_cast<std::size_t>(matmul_workspace_bytes(problem_.spec)));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, problem_.alignment.b);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, problem_.alignment.a);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, problem_.alignment.c);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, problem_.alignment.c);
  // Parts of a split sum never meet in place, where atomics would order them: the same bits in every run.
  prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
         static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_MASK & ~CUBLASLT_REDUCTION_SCHEME_INPLACE));
  std::array<cublasLtMatmulHeuristicResult_t, 8> answers{};
  int count = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
      library_->get(), desc_.get(), left_.get(), right_.get(), result_.get(), result_.get(), preference.get(),
      static_cast<int>(answers.size()), answers.data(), &count);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED) return {};
  check_lt(status, "the heuristic");
  std::vector<MatmulAlgorithm> held;
  for (int i = 0; i < count; ++i) {
    const cublasLtMatmulHeuristicResult_t& answer = answers[static_cast<std::size_t>(i)];
    if (answer.state != CUBLAS_STATUS_SUCCESS) continue;
    if (const std::optional<MatmulAlgorithm> one = checked(answer.algo)) held.push_back(*one);
  }
  return held;
}

bool CudaMatmul::try_issue(const MatmulAlgorithm& algorithm, cudaStream_t stream, bool add) const {
  const float one = 1, beta = add ? 1.0f : 0.0f;
  const cublasStatus_t status = cublasLtMatmul(library_->get(), desc_.get(), &one, at_.b, left_.get(), at_.a,
                                               right_.get(), &beta, at_.c, result_.get(), at_.c, result_.get(),
                                               &algorithm.words, at_.workspace, algorithm.workspace_bytes, stream);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE) return false;
  check_lt(status, "a matmul");
  return true;
}

void CudaMatmul::issue(cudaStream_t stream, bool add) const {
  if (!try_issue(algorithm_, stream, add))
    throw MachineError("cuBLASLt: refuses its own algorithm for the matmul " + signature_of(problem_));
}

int split_k_of(const MatmulAlgorithm& algorithm) {
  std::int32_t parts = 1;
  std::size_t written = 0;
  check_lt(cublasLtMatmulAlgoConfigGetAttribute(&algorithm.words, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &parts,
                                                sizeof(parts), &written),
           "what an algorithm says of itself");
  return std::max(1, static_cast<int>(parts));
}

}  // namespace stepscope
