// cublasLtMatmul by plain loops, linked before the real library. Descriptors, layouts and preferences stay the real library's, which makes
// them without a GPU: its setters know the attributes and their sizes, but take any value (an epilogue of 99999, a leading dimension below
// the rows). Values, shapes and types are therefore checked here, already when an algorithm is asked for; the real heuristic answers
// nothing without a card. Only what needs one is replaced.
// Refused: other epilogues than those of `epilogue_of`, scalars on the device, row order, sums in other types than fp32, types that
// cuBLAS's table of CUBLAS_COMPUTE_32F does not have.
// A bias gradient overwrites, also where beta is 1: the documents do not say that it adds.
// What it cannot tell: which configurations the real library would refuse for want of a kernel.
#include "tests/support/host_simt/cublaslt.cuh"

#include <cublasLt.h>

#include <cmath>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "model/base/half.h"
#include "tests/support/host_simt/runtime.cuh"

namespace stepscope::host_simt {

namespace {

constexpr std::uint64_t algorithm_mark = 0x5157'5153'4d53'4f48;  // what the heuristic gave out
enum AlgorithmWord { word_mark, word_way, word_matmul };

void require_lt(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error("cublasLtMatmul: " + what);
}

template <class T>
T attribute(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t which) {
  T value{};
  std::size_t written = 0;
  require_lt(cublasLtMatmulDescGetAttribute(desc, which, &value, sizeof(value), &written) == CUBLAS_STATUS_SUCCESS,
             "an attribute of the descriptor cannot be read");
  return value;
}
template <class T>
T attribute(cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t which) {
  T value{};
  std::size_t written = 0;
  require_lt(cublasLtMatrixLayoutGetAttribute(layout, which, &value, sizeof(value), &written) == CUBLAS_STATUS_SUCCESS,
             "an attribute of a layout cannot be read");
  return value;
}

DType dtype_of_cuda(cudaDataType type) {
  switch (type) {
    case CUDA_R_32F: return DType::fp32;
    case CUDA_R_16BF: return DType::bf16;
    case CUDA_R_16F: return DType::fp16;
    default: throw std::runtime_error("cublasLtMatmul: of type " + std::to_string(type) + " nothing is emulated");
  }
}

float load_as(DType dtype, const void* at, std::int64_t i) {
  switch (dtype) {
    case DType::bf16: return load(static_cast<const bf16*>(at)[i]);
    case DType::fp16: return load(static_cast<const fp16*>(at)[i]);
    default: return static_cast<const float*>(at)[i];
  }
}
void store_as(DType dtype, void* at, std::int64_t i, float value) {
  switch (dtype) {
    case DType::bf16: static_cast<bf16*>(at)[i] = store<bf16>(value); break;
    case DType::fp16: static_cast<fp16*>(at)[i] = store<fp16>(value); break;
    default: static_cast<float*>(at)[i] = value;
  }
}

struct Matrix {  // columns of `rows` elements, `stride` apart
  void* first = nullptr;
  DType dtype = DType::fp32;
  std::int64_t rows = 0, columns = 0, stride = 0, batch_stride = 0;
  int batch = 1;

  [[nodiscard]] std::int64_t at(int b, std::int64_t row, std::int64_t column) const {
    return b * batch_stride + column * stride + row;
  }
  [[nodiscard]] float load(int b, std::int64_t row, std::int64_t column) const {
    return load_as(dtype, first, at(b, row, column));
  }
  void store(int b, std::int64_t row, std::int64_t column, float value) const {
    store_as(dtype, first, at(b, row, column), value);
  }
  [[nodiscard]] std::int64_t bytes() const { return (at(batch - 1, rows - 1, columns - 1) + 1) * size_bytes(dtype); }
};

Matrix matrix_of_layout(cublasLtMatrixLayout_t layout, const char* name) {
  Matrix m{
      .dtype = dtype_of_cuda(static_cast<cudaDataType>(attribute<std::uint32_t>(layout, CUBLASLT_MATRIX_LAYOUT_TYPE))),
      .rows = static_cast<std::int64_t>(attribute<std::uint64_t>(layout, CUBLASLT_MATRIX_LAYOUT_ROWS)),
      .columns = static_cast<std::int64_t>(attribute<std::uint64_t>(layout, CUBLASLT_MATRIX_LAYOUT_COLS)),
      .stride = attribute<std::int64_t>(layout, CUBLASLT_MATRIX_LAYOUT_LD),
      .batch_stride = attribute<std::int64_t>(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET),
      .batch = attribute<std::int32_t>(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT)};
  require_lt(attribute<std::int32_t>(layout, CUBLASLT_MATRIX_LAYOUT_ORDER) == CUBLASLT_ORDER_COL, "only column order");
  require_lt(m.stride >= m.rows, std::string(name) + ": a leading dimension below its rows");
  return m;
}

void place(Matrix& m, const void* first, const char* name) {
  m.first = const_cast<void*>(first);
  require_lt(reinterpret_cast<std::uintptr_t>(first) % static_cast<unsigned>(size_bytes(m.dtype)) == 0,
             std::string(name) + " is not aligned to its elements");
  require_lt(in_device_memory(first, static_cast<std::size_t>(m.bytes())),
             std::string(name) + " is not inside one allocation of the device");
}

struct Epilogue {
  bool bias = false, gelu = false, writes_aux = false, gelu_slope = false;
  bool sums_a = false, sums_b = false, sums_d = false;  // into the bias
  [[nodiscard]] bool has_bias() const { return bias || sums_a || sums_b || sums_d; }
  [[nodiscard]] bool has_aux() const { return writes_aux || gelu_slope; }
};
Epilogue epilogue_of(std::uint32_t which) {
  switch (which) {
    case CUBLASLT_EPILOGUE_DEFAULT: return {};
    case CUBLASLT_EPILOGUE_BIAS: return {.bias = true};
    case CUBLASLT_EPILOGUE_GELU_AUX_BIAS: return {.bias = true, .gelu = true, .writes_aux = true};
    case CUBLASLT_EPILOGUE_DGELU: return {.gelu_slope = true};
    case CUBLASLT_EPILOGUE_DGELU_BGRAD: return {.gelu_slope = true, .sums_d = true};
    case CUBLASLT_EPILOGUE_BGRADA: return {.sums_a = true};
    case CUBLASLT_EPILOGUE_BGRADB: return {.sums_b = true};
    default: throw std::runtime_error("cublasLtMatmul: epilogue " + std::to_string(which) + " is not emulated");
  }
}

double gelu_tanh(double x) { return std::tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)); }
double gelu(double x) { return 0.5 * x * (1 + gelu_tanh(x)); }
double gelu_slope(double x) {
  const double t = gelu_tanh(x);
  return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * 0.7978845608028654 * (1 + 3 * 0.044715 * x * x);
}

float to_tf32(float x) {  // 10 bits of mantissa, to nearest even
  const std::uint32_t bits = bits_as<std::uint32_t>(x);
  return bits_as<float>((bits + 0xfffu + ((bits >> 13) & 1u)) & ~0x1fffu);
}

struct Call {
  Matrix a, b, c, d;
  bool transpose_a = false, transpose_b = false, tf32 = false;
  Epilogue epilogue = {};
  float alpha = 1, beta = 0;
  void *bias = nullptr, *aux = nullptr;
  DType bias_dtype = DType::fp32;
  std::int64_t aux_stride = 0;
  MatmulWay way = in_order;
  [[nodiscard]] std::int64_t depth() const { return transpose_a ? a.rows : a.columns; }
};

// Which matmul an algorithm is for.
std::uint64_t number_of(const Call& call) {
  std::uint64_t number = 17;
  for (const Matrix* m : {&call.a, &call.b, &call.d})
    for (const std::int64_t part :
         {m->rows, m->columns, m->stride, m->batch_stride, std::int64_t{m->batch}, static_cast<std::int64_t>(m->dtype)})
      number = number * 1000003 + static_cast<std::uint64_t>(part);
  const Epilogue& e = call.epilogue;
  for (const bool part : {call.transpose_a, call.transpose_b, call.tf32, e.bias, e.gelu, e.gelu_slope, e.sums_d})
    number = number * 2 + (part ? 1 : 0);
  return number;
}

std::size_t workspace_of(const Call& call, MatmulWay way) {
  const auto sums = static_cast<std::size_t>(call.d.rows * call.d.columns * call.d.batch) * sizeof(float);
  if (way == split) return 256 + split_parts * sums;
  return way == too_large ? std::size_t{1} << 30 : 256;
}

// Operands may share a matrix (a stride of 0), results may not: they lie one after the other, or side by side within longer columns.
void check_batch(const Call& call) {
  for (const Matrix* m : {&call.a, &call.b, &call.c, &call.d})
    require_lt(m->batch >= 1 && m->batch_stride >= 0, "a batch that is none, or runs backwards");
  const Matrix &c = call.c, &d = call.d;
  const bool one_after_another = d.batch_stride >= (d.columns - 1) * d.stride + d.rows,
             side_by_side = d.batch_stride >= d.rows && (d.batch - 1) * d.batch_stride + d.rows <= d.stride;
  require_lt(d.batch == 1 || one_after_another || side_by_side, "results of a batch lie over one another");
  require_lt(c.first == d.first && c.stride == d.stride && c.batch_stride == d.batch_stride, "C lies elsewhere than D");
}

// A panel of floats, `depth` of them for each row of op(a), or column of op(b).
std::vector<float> panel(const Call& call, const Matrix& m, int batch, bool depth_is_rows, std::int64_t lines) {
  const std::int64_t depth = call.depth();
  std::vector<float> numbers(static_cast<std::size_t>(lines * depth));
  for (std::int64_t line = 0; line < lines; ++line)
    for (std::int64_t k = 0; k < depth; ++k) {
      const float x = depth_is_rows ? m.load(batch, k, line) : m.load(batch, line, k);
      numbers[static_cast<std::size_t>(line * depth + k)] = call.tf32 ? to_tf32(x) : x;
    }
  return numbers;
}

// Returns the element before it is rounded to its type.
float finish_element(const Call& call, int batch, std::int64_t i, std::int64_t j, float sum) {
  float value = call.alpha * sum;
  if (call.beta != 0) value += call.beta * call.c.load(batch, i, j);
  if (call.epilogue.bias) value += load_as(call.bias_dtype, call.bias, i);
  const std::int64_t aux_at = batch * call.d.batch_stride + j * call.aux_stride + i;
  if (call.epilogue.gelu_slope) value = static_cast<float>(value * gelu_slope(load_as(call.d.dtype, call.aux, aux_at)));
  if (call.epilogue.writes_aux) store_as(call.d.dtype, call.aux, aux_at, value);
  if (call.epilogue.gelu) value = static_cast<float>(gelu(value));
  call.d.store(batch, i, j, value);
  return value;
}

void sum_lines(const Call& call, const std::vector<float>& lines) {
  const std::int64_t depth = call.depth();
  for (std::int64_t line = 0; line * depth < static_cast<std::int64_t>(lines.size()); ++line) {
    float sum = 0;
    for (std::int64_t k = 0; k < depth; ++k) sum += lines[static_cast<std::size_t>(line * depth + k)];
    store_as(call.bias_dtype, call.bias, line, sum);
  }
}

// The terms of one element, added as the algorithm does: split ones each by itself, then together.
float sum_of_terms(MatmulWay way, const float* a, const float* b, std::int64_t depth) {
  float sum = 0;
  if (way == backwards) {
    for (std::int64_t k = depth; k-- > 0;) sum += a[k] * b[k];
    return sum;
  }
  const std::int64_t parts = way == split ? split_parts : 1;
  for (std::int64_t part = 0; part < parts; ++part) {
    float own = 0;
    for (std::int64_t k = depth * part / parts; k < depth * (part + 1) / parts; ++k) own += a[k] * b[k];
    sum += own;
  }
  return sum;
}

void multiply(const Call& call) {
  const std::int64_t m = call.d.rows, n = call.d.columns, depth = call.depth();
  std::vector<float> row_sums(static_cast<std::size_t>(m));
  for (int batch = 0; batch < call.d.batch; ++batch) {
    const std::vector<float> a = panel(call, call.a, batch, call.transpose_a, m),
                             b = panel(call, call.b, batch, !call.transpose_b, n);
    for (std::int64_t j = 0; j < n; ++j)
      for (std::int64_t i = 0; i < m; ++i) {
        const float sum = sum_of_terms(call.way, a.data() + i * depth, b.data() + j * depth, depth);
        row_sums[static_cast<std::size_t>(i)] += finish_element(call, batch, i, j, sum);
      }
    if (call.epilogue.sums_a) sum_lines(call, a);
    if (call.epilogue.sums_b) sum_lines(call, b);
  }
  if (call.epilogue.sums_d)
    for (std::int64_t i = 0; i < m; ++i) store_as(call.bias_dtype, call.bias, i, row_sums[static_cast<std::size_t>(i)]);
}

void read_epilogue(Call& call, cublasLtMatmulDesc_t desc) {
  const Epilogue e = call.epilogue = epilogue_of(attribute<std::uint32_t>(desc, CUBLASLT_MATMUL_DESC_EPILOGUE));
  require_lt(call.d.batch == 1 || (!e.has_bias() && !e.has_aux()), "a bias or aux matrix of a batch is not emulated");
  const auto of_type = [&](cublasLtMatmulDescAttributes_t which) {
    const auto type = attribute<std::int32_t>(desc, which);
    return type < 0 ? call.d.dtype : dtype_of_cuda(static_cast<cudaDataType>(type));
  };
  if (e.has_bias()) {
    call.bias = attribute<void*>(desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER);
    call.bias_dtype = of_type(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE);
    require_lt(call.bias_dtype == call.d.dtype, "a bias of another type than the result");
  }
  if (e.has_aux()) {
    call.aux = attribute<void*>(desc, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER);
    call.aux_stride = attribute<std::int64_t>(desc, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD);
    require_lt(of_type(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE) == call.d.dtype,
               "an aux matrix of another type than the result");
    require_lt(call.aux_stride >= call.d.rows && call.aux_stride % 8 == 0, "the aux matrix's leading dimension");
  }
}

void place_epilogue(const Call& call) {
  const auto require_there = [&](const void* at, std::int64_t count, const std::string& what) {
    require_lt(in_device_memory(at, static_cast<std::size_t>(count * size_bytes(call.d.dtype))),
               what + " is not inside one allocation of the device");
  };
  if (call.epilogue.has_bias())
    require_there(call.bias, call.epilogue.sums_b ? call.d.columns : call.d.rows, "the bias");
  if (call.epilogue.has_aux())
    require_there(call.aux, (call.d.columns - 1) * call.aux_stride + call.d.rows, "the aux matrix");
}

// What cuBLAS's table of types for CUBLAS_COMPUTE_32F has of those that are emulated.
void check_types(const Call& call) {
  const DType in = call.a.dtype, out = call.d.dtype;
  require_lt(call.b.dtype == in, "operands of two types");
  require_lt(out == in || out == DType::fp32, "a result of another type than the operands or fp32");
  require_lt(call.c.dtype == out, "C and D of two types");
  require_lt(!call.tf32 || in == DType::fp32, "tf32 of narrow operands");
}

void check_shapes(const Call& call) {
  const std::int64_t depth = call.depth();
  check_batch(call);
  require_lt((call.transpose_a ? call.a.columns : call.a.rows) == call.d.rows &&
                 (call.transpose_b ? call.b.rows : call.b.columns) == call.d.columns &&
                 (call.transpose_b ? call.b.columns : call.b.rows) == depth && call.c.rows == call.d.rows &&
                 call.c.columns == call.d.columns,
             "shapes do not fit");
  require_lt(call.a.batch == call.d.batch && call.b.batch == call.d.batch && call.c.batch == call.d.batch,
             "batches of different lengths");
}

void check_apart(const Call& call, const void* workspace, std::size_t workspace_bytes) {
  const auto apart = [](const Matrix& m, const void* at, std::int64_t bytes) {
    const auto *begin = static_cast<const char*>(m.first), *other = static_cast<const char*>(at);
    return begin + m.bytes() <= other || other + bytes <= begin;
  };
  const auto from_result = [&](const Matrix& m) { return apart(m, call.d.first, call.d.bytes()); };
  require_lt(from_result(call.a) && from_result(call.b), "the result lies over an operand");
  for (const Matrix* m : {&call.a, &call.b, &call.c, &call.d})
    require_lt(apart(*m, workspace, static_cast<std::int64_t>(workspace_bytes)), "the workspace lies over a matrix");
}

struct Layouts {
  cublasLtMatrixLayout_t a, b, c, d;
};

// All that is known without addresses.
Call describe(cublasLtMatmulDesc_t desc, const Layouts& layouts) {
  require_lt(attribute<std::int32_t>(desc, CUBLASLT_MATMUL_DESC_POINTER_MODE) == CUBLASLT_POINTER_MODE_HOST &&
                 attribute<std::int32_t>(desc, CUBLASLT_MATMUL_DESC_SCALE_TYPE) == CUDA_R_32F,
             "scalars are fp32 on the host");
  const auto compute = attribute<std::int32_t>(desc, CUBLASLT_MATMUL_DESC_COMPUTE_TYPE);
  require_lt(compute == CUBLAS_COMPUTE_32F || compute == CUBLAS_COMPUTE_32F_FAST_TF32, "sums are fp32");
  const auto transposed = [&](cublasLtMatmulDescAttributes_t which) {
    const auto operation = attribute<std::int32_t>(desc, which);
    require_lt(operation == CUBLAS_OP_N || operation == CUBLAS_OP_T, "an operation that is not emulated");
    return operation == CUBLAS_OP_T;
  };
  Call call{.a = matrix_of_layout(layouts.a, "A"),
            .b = matrix_of_layout(layouts.b, "B"),
            .c = matrix_of_layout(layouts.c, "C"),
            .d = matrix_of_layout(layouts.d, "D"),
            .transpose_a = transposed(CUBLASLT_MATMUL_DESC_TRANSA),
            .transpose_b = transposed(CUBLASLT_MATMUL_DESC_TRANSB),
            .tf32 = compute == CUBLAS_COMPUTE_32F_FAST_TF32};
  check_types(call);
  check_shapes(call);
  read_epilogue(call, desc);
  return call;
}

// Of whoever says what they prefer: this project promises the same bits in every run.
void require_no_atomics(cublasLtMatmulPreference_t preference) {
  if (preference == nullptr) return;  // tests of the stand-in itself
  std::uint32_t schemes = 0;
  std::size_t written = 0;
  require_lt(cublasLtMatmulPreferenceGetAttribute(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &schemes,
                                                  sizeof(schemes), &written) == CUBLAS_STATUS_SUCCESS &&
                 (schemes & CUBLASLT_REDUCTION_SCHEME_INPLACE) == 0,
             "an algorithm that adds by atomics was not ruled out");
}

bool is_refused(std::uint32_t ways, MatmulWay way) { return (ways >> way & 1u) != 0; }

// The way of an algorithm; nothing where it is none of this matmul's.
std::optional<MatmulWay> way_of(const Call& call, const cublasLtMatmulAlgo_t& algorithm) {
  const auto& words = algorithm.data;
  if (words[word_mark] != algorithm_mark || words[word_way] >= matmul_ways || words[word_matmul] != number_of(call))
    return std::nullopt;
  return static_cast<MatmulWay>(words[word_way]);
}

}  // namespace

MatmulOptions& matmul_options() {
  static MatmulOptions options;
  return options;
}
std::array<int, matmul_ways>& matmuls_run() {
  static std::array<int, matmul_ways> run{};
  return run;
}

}  // namespace stepscope::host_simt

using namespace stepscope;
using namespace stepscope::host_simt;

extern "C" {

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  *handle = reinterpret_cast<cublasLtHandle_t>(new char);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  delete reinterpret_cast<char*>(handle);
  return CUBLAS_STATUS_SUCCESS;
}

// The first answer cannot be used: who asks must look at their states. Others want more workspace than allowed, or fail their check.
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a,
                                              cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                                              cublasLtMatrixLayout_t d, cublasLtMatmulPreference_t preference, int most,
                                              cublasLtMatmulHeuristicResult_t results[], int* count) {
  require_no_atomics(preference);
  const Call call = describe(desc, {a, b, c, d});
  *count = 0;
  if ((call.epilogue.gelu || call.epilogue.gelu_slope) && !matmul_options().has_gelu)
    return CUBLAS_STATUS_NOT_SUPPORTED;
  *count = std::min(most, 1 + matmul_ways);
  for (int i = 0; i < *count; ++i) {
    results[i] = {};
    results[i].state = i == 0 ? CUBLAS_STATUS_NOT_SUPPORTED : CUBLAS_STATUS_SUCCESS;
    const MatmulWay way = i == 0 ? backwards : static_cast<MatmulWay>(i - 1);
    results[i].algo.data[word_mark] = algorithm_mark;
    results[i].algo.data[word_way] = static_cast<std::uint64_t>(way);
    results[i].algo.data[word_matmul] = number_of(call);
    results[i].workspaceSize = workspace_of(call, way);
  }
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t, cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a,
                                       cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                       const cublasLtMatmulAlgo_t* algorithm, cublasLtMatmulHeuristicResult_t* result) {
  const Call call = describe(desc, {a, b, c, d});
  const std::optional<MatmulWay> way = way_of(call, *algorithm);
  if (!way) return CUBLAS_STATUS_INVALID_VALUE;
  if (is_refused(matmul_options().refused, *way)) return CUBLAS_STATUS_NOT_SUPPORTED;
  *result = {};
  result->algo = *algorithm;
  result->workspaceSize = workspace_of(call, *way);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t* algorithm,
                                                    cublasLtMatmulAlgoConfigAttributes_t which, void* value,
                                                    std::size_t bytes, std::size_t* written) {
  require_lt(algorithm->data[word_mark] == algorithm_mark && which == CUBLASLT_ALGO_CONFIG_SPLITK_NUM &&
                 bytes == sizeof(std::int32_t),
             "of an algorithm that, or so, nothing is emulated");
  const std::int32_t parts = algorithm->data[word_way] == split ? split_parts : 1;
  std::memcpy(value, &parts, sizeof(parts));
  *written = sizeof(parts);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t desc, const void* alpha, const void* a,
                              cublasLtMatrixLayout_t a_layout, const void* b, cublasLtMatrixLayout_t b_layout,
                              const void* beta, const void* c, cublasLtMatrixLayout_t c_layout, void* d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t* algorithm, void* workspace,
                              std::size_t workspace_bytes, cudaStream_t stream) {
  Call call = describe(desc, {a_layout, b_layout, c_layout, d_layout});
  require_lt(algorithm != nullptr, "without an algorithm");
  const std::optional<MatmulWay> way = way_of(call, *algorithm);
  require_lt(way.has_value() && !is_refused(matmul_options().refused, *way),
             "an algorithm that the heuristic did not give for this matmul, or that its check refuses");
  if (is_refused(matmul_options().refused_when_issued, *way)) return CUBLAS_STATUS_NOT_SUPPORTED;
  require_lt(workspace_bytes >= workspace_of(call, *way) && in_device_memory(workspace, workspace_bytes) &&
                 reinterpret_cast<std::uintptr_t>(workspace) % 256 == 0,
             "a workspace smaller than the algorithm's, not aligned, or not of the device");
  call.way = *way;
  call.alpha = *static_cast<const float*>(alpha);
  call.beta = *static_cast<const float*>(beta);
  place(call.a, a, "A");
  place(call.b, b, "B");
  place(call.c, c, "C");
  place(call.d, d, "D");
  check_apart(call, workspace, workspace_bytes);
  place_epilogue(call);
  const auto work = [=] {
    std::memset(workspace, 0xFF, workspace_bytes);  // an algorithm may leave anything there
    multiply(call);
    ++matmuls_run()[call.way];
    pass_time(matmul_options().nanoseconds[call.way]);
  };
  constexpr double elements_a_thread = 64;  // a tile of 128 x 128 by 256 threads
  const double elements = static_cast<double>(call.d.rows) * static_cast<double>(call.d.columns) * call.d.batch;
  const LibraryKernel kernel{"stand_in_matmul", elements / elements_a_thread};
  return enqueue(stream, work, kernel) == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}
}
