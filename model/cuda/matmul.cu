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

MatmulLibrary::MatmulLibrary() { check_lt(cublasLtCreate(&handle_), "cublasLtCreate"); }
MatmulLibrary::~MatmulLibrary() { (void)cublasLtDestroy(handle_); }

CudaMatmul::CudaMatmul(const MatmulLibrary& library, const MatmulSpec& s, bool tf32, const CudaMatmulAddresses& at,
                       const MatmulBatch& batch)
    : library_(&library), at_(at) {
  cublasLtMatmulDesc_t desc = nullptr;
  check_lt(cublasLtMatmulDescCreate(&desc, tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F),
           "a descriptor");
  desc_.reset(desc);
  const cublasOperation_t left = s.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N,
                          right = s.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N;
  set(desc, CUBLASLT_MATMUL_DESC_TRANSA, left, "transposing the left operand");
  set(desc, CUBLASLT_MATMUL_DESC_TRANSB, right, "transposing the right operand");
  if (s.bias) {
    set(desc, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS, "the epilogue");
    set(desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, at.bias, "the bias");
  }
  left_.reset(s.transpose_b ? make_layout(s.in, s.n, s.k, s.b_stride) : make_layout(s.in, s.k, s.n, s.b_stride));
  right_.reset(s.transpose_a ? make_layout(s.in, s.k, s.m, s.a_stride) : make_layout(s.in, s.m, s.k, s.a_stride));
  result_.reset(make_layout(s.out, s.m, s.n, s.c_stride));
  if (batch.count > 1) {
    set_batch(left_.get(), batch.count, batch.b_stride);
    set_batch(right_.get(), batch.count, batch.a_stride);
    set_batch(result_.get(), batch.count, batch.c_stride);
  }
  choose_algorithm(s, batch);
}

// The first of several answers that is whole and fits the workspace.
void CudaMatmul::choose_algorithm(const MatmulSpec& spec, const MatmulBatch& batch) {
  const auto cap = static_cast<std::size_t>(matmul_workspace_bytes(spec));
  cublasLtMatmulPreference_t made = nullptr;
  check_lt(cublasLtMatmulPreferenceCreate(&made), "a preference");
  const std::unique_ptr<std::remove_pointer_t<cublasLtMatmulPreference_t>, decltype(&cublasLtMatmulPreferenceDestroy)>
      preference(made, cublasLtMatmulPreferenceDestroy);
  const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t which, auto value) {
    check_lt(cublasLtMatmulPreferenceSetAttribute(preference.get(), which, &value, sizeof(value)), "a preference");
  };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, cap);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment_of(at_.b, batch.b_stride, spec.in));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment_of(at_.a, batch.a_stride, spec.in));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment_of(at_.c, batch.c_stride, spec.out));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment_of(at_.c, batch.c_stride, spec.out));
  std::array<cublasLtMatmulHeuristicResult_t, 8> answers{};
  int count = 0;
  check_lt(cublasLtMatmulAlgoGetHeuristic(library_->get(), desc_.get(), left_.get(), right_.get(), result_.get(),
                                          result_.get(), preference.get(), static_cast<int>(answers.size()),
                                          answers.data(), &count),
           "the heuristic");
  for (int i = 0; i < count; ++i) {
    const cublasLtMatmulHeuristicResult_t& answer = answers[static_cast<std::size_t>(i)];
    if (answer.state != CUBLAS_STATUS_SUCCESS || answer.workspaceSize > cap) continue;
    algorithm_ = answer.algo;
    workspace_bytes_ = answer.workspaceSize;
    return;
  }
  throw MachineError("cuBLASLt: no algorithm for a matmul of " + std::to_string(spec.m) + " x " +
                     std::to_string(spec.n) + " x " + std::to_string(spec.k) + " in " + std::string(name_of(spec.in)));
}

void CudaMatmul::issue(cudaStream_t stream, bool add) const {
  const float one = 1, beta = add ? 1.0f : 0.0f;
  check_lt(cublasLtMatmul(library_->get(), desc_.get(), &one, at_.b, left_.get(), at_.a, right_.get(), &beta, at_.c,
                          result_.get(), at_.c, result_.get(), &algorithm_, at_.workspace, workspace_bytes_, stream),
           "a matmul");
}

}  // namespace stepscope
