// cuBLASLt under its own names, loaded when its first function is called: the program starts where the library is not installed.
// A function that matmul.cu calls and that is not here does not link. Host SIMT has its own cuBLASLt and compiles none of this.
#ifdef __CUDACC__

#include <cublasLt.h>
#include <dlfcn.h>

#include "model/cuda/libraries.cuh"

#define STEPSCOPE_TEXT(x) #x
#define STEPSCOPE_TEXT_OF(x) STEPSCOPE_TEXT(x)

namespace stepscope {

namespace {

// Found by the program's run path, where it was built, or by the system's.
constexpr const char* cublaslt_file = "libcublasLt.so." STEPSCOPE_TEXT_OF(CUBLAS_VER_MAJOR);

struct Library {
  void* handle = dlopen(cublaslt_file, RTLD_NOW | RTLD_LOCAL);
  std::string why = handle == nullptr ? dlerror() : "";
};

const Library& cublaslt() {
  static const Library one;
  return one;
}

template <class Function>
Function* entry(const char* name) {
  return cublaslt().handle == nullptr ? nullptr : reinterpret_cast<Function*>(dlsym(cublaslt().handle, name));
}

}  // namespace

std::string why_libraries_are_missing() {
  return cublaslt().why.empty() ? "" : "cuBLASLt cannot be loaded: " + cublaslt().why;
}

}  // namespace stepscope

#define STEPSCOPE_FORWARD(name, parameters, arguments)                               \
  cublasStatus_t name parameters {                                                   \
    static auto* const function = stepscope::entry<decltype(name)>(#name);           \
    return function == nullptr ? CUBLAS_STATUS_NOT_INITIALIZED : function arguments; \
  }

extern "C" {
size_t cublasLtGetVersion() {  // 0: it is not here
  static auto* const function = stepscope::entry<decltype(cublasLtGetVersion)>("cublasLtGetVersion");
  return function == nullptr ? 0 : function();
}
STEPSCOPE_FORWARD(cublasLtCreate, (cublasLtHandle_t * handle), (handle))
STEPSCOPE_FORWARD(cublasLtDestroy, (cublasLtHandle_t handle), (handle))
STEPSCOPE_FORWARD(cublasLtMatmulDescCreate,
                  (cublasLtMatmulDesc_t * desc, cublasComputeType_t compute, cudaDataType_t scale),
                  (desc, compute, scale))
STEPSCOPE_FORWARD(cublasLtMatmulDescDestroy, (cublasLtMatmulDesc_t desc), (desc))
STEPSCOPE_FORWARD(cublasLtMatmulDescSetAttribute,
                  (cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t which, const void* value, size_t bytes),
                  (desc, which, value, bytes))
STEPSCOPE_FORWARD(cublasLtMatrixLayoutCreate,
                  (cublasLtMatrixLayout_t * layout, cudaDataType type, uint64_t rows, uint64_t columns, int64_t stride),
                  (layout, type, rows, columns, stride))
STEPSCOPE_FORWARD(cublasLtMatrixLayoutDestroy, (cublasLtMatrixLayout_t layout), (layout))
STEPSCOPE_FORWARD(cublasLtMatrixLayoutSetAttribute,
                  (cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t which, const void* value,
                   size_t bytes),
                  (layout, which, value, bytes))
STEPSCOPE_FORWARD(cublasLtMatmulPreferenceCreate, (cublasLtMatmulPreference_t * preference), (preference))
STEPSCOPE_FORWARD(cublasLtMatmulPreferenceDestroy, (cublasLtMatmulPreference_t preference), (preference))
STEPSCOPE_FORWARD(cublasLtMatmulPreferenceSetAttribute,
                  (cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t which, const void* value,
                   size_t bytes),
                  (preference, which, value, bytes))
STEPSCOPE_FORWARD(cublasLtMatmulAlgoGetHeuristic,
                  (cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a,
                   cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                   cublasLtMatmulPreference_t preference, int most, cublasLtMatmulHeuristicResult_t results[],
                   int* count),
                  (handle, desc, a, b, c, d, preference, most, results, count))
STEPSCOPE_FORWARD(cublasLtMatmulAlgoConfigGetAttribute,
                  (const cublasLtMatmulAlgo_t* algorithm, cublasLtMatmulAlgoConfigAttributes_t which, void* value,
                   size_t bytes, size_t* written),
                  (algorithm, which, value, bytes, written))
STEPSCOPE_FORWARD(cublasLtMatmulAlgoConfigSetAttribute,
                  (cublasLtMatmulAlgo_t * algorithm, cublasLtMatmulAlgoConfigAttributes_t which, const void* value,
                   size_t bytes),
                  (algorithm, which, value, bytes))
STEPSCOPE_FORWARD(cublasLtMatmulAlgoCheck,
                  (cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a,
                   cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                   const cublasLtMatmulAlgo_t* algorithm, cublasLtMatmulHeuristicResult_t* result),
                  (handle, desc, a, b, c, d, algorithm, result))
STEPSCOPE_FORWARD(cublasLtMatmul,
                  (cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void* alpha, const void* a,
                   cublasLtMatrixLayout_t a_layout, const void* b, cublasLtMatrixLayout_t b_layout, const void* beta,
                   const void* c, cublasLtMatrixLayout_t c_layout, void* d, cublasLtMatrixLayout_t d_layout,
                   const cublasLtMatmulAlgo_t* algorithm, void* workspace, size_t workspace_bytes, cudaStream_t stream),
                  (handle, desc, alpha, a, a_layout, b, b_layout, beta, c, c_layout, d, d_layout, algorithm, workspace,
                   workspace_bytes, stream))
}

#endif
