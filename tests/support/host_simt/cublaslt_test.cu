// The stand-in for cublasLtMatmul: its epilogues are what cuBLAS documents, and what it cannot do it refuses. Column-major throughout.
#include <cublasLt.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <vector>

#include "model/base/tolerance.h"
#include "model/cuda/handles.cuh"
#include "model/operations/gelu/gelu_body.h"
#include "tests/support/host_simt/runtime.cuh"
#include "tests/support/on_card.cuh"

namespace stepscope::testing {

namespace {

constexpr int rows = 5, columns = 3, depth = 7, aux_stride = 8;

std::vector<float> numbers(int count, int seed) {
  std::vector<float> made;
  for (int i = 0; i < count; ++i) made.push_back(static_cast<float>((i * 7 + seed) % 11) / 4 - 1);
  return made;
}

void require(cublasStatus_t status) {
  if (status != CUBLAS_STATUS_SUCCESS) throw std::runtime_error("cuBLASLt: status " + std::to_string(status));
}

}  // namespace

struct LtLayout {
  cublasLtMatrixLayout_t at = nullptr;
  LtLayout(cudaDataType type, int m, int n, int stride) {
    require(
        cublasLtMatrixLayoutCreate(&at, type, static_cast<std::uint64_t>(m), static_cast<std::uint64_t>(n), stride));
  }
  ~LtLayout() { cublasLtMatrixLayoutDestroy(at); }
  LtLayout(const LtLayout&) = delete;
  LtLayout& operator=(const LtLayout&) = delete;
  template <class T>
  void set(cublasLtMatrixLayoutAttribute_t which, T value) const {
    require(cublasLtMatrixLayoutSetAttribute(at, which, &value, sizeof(value)));
  }
};

// d [5,3] = a [5,7] b [7,3] with an epilogue; a test alters the descriptor or a layout before it runs.
class CublasLtEpilogues : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!is_host_simt) GTEST_SKIP() << "of the stand-in alone";
    require(cublasLtMatmulDescCreate(&desc, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias.at());
    set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, aux.at());
    set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, std::int64_t{aux_stride});
  }
  void TearDown() override {
    if (desc != nullptr) cublasLtMatmulDescDestroy(desc);
  }
  template <class T>
  void set(cublasLtMatmulDescAttributes_t which, T value) {
    require(cublasLtMatmulDescSetAttribute(desc, which, &value, sizeof(value)));
  }
  void run(cublasLtEpilogue_t epilogue, float beta = 0) {
    set(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue);
    cublasLtMatmulHeuristicResult_t answers[2];
    int count = 0;
    require(
        cublasLtMatmulAlgoGetHeuristic(nullptr, desc, of_a.at, of_b.at, of_d.at, of_d.at, nullptr, 2, answers, &count));
    const float one = 1;
    require(cublasLtMatmul(nullptr, desc, &one, a.at(), of_a.at, b.at(), of_b.at, &beta, d.at(), of_d.at, d.at(),
                           of_d.at, &answers[1].algo, workspace.data(), workspace.bytes(), stream.get()));
  }
  [[nodiscard]] static float product(int i, int j) {
    float sum = 0;
    for (int k = 0; k < depth; ++k) sum += left[k * rows + i] * right[j * depth + k];
    return sum;
  }
  [[nodiscard]] static float aux_at(int i, int j) { return of_aux[j * aux_stride + i]; }
  void expect_d(const std::function<float(int, int)>& expected) {
    const std::vector<float> got = d.read();
    for (int j = 0; j < columns; ++j)
      for (int i = 0; i < rows; ++i)
        EXPECT_TRUE(close(got[j * rows + i], expected(i, j), DType::fp32)) << i << "," << j;
  }
  void expect_bias(int count, const std::function<float(int)>& expected) {
    const std::vector<float> got = bias.read();
    for (int i = 0; i < count; ++i) EXPECT_TRUE(close(got[i], expected(i), DType::fp32)) << i;
    for (int i = count; i < depth; ++i) EXPECT_EQ(got[i], of_bias[i]);
  }

  static inline const std::vector<float> left = numbers(rows * depth, 0), right = numbers(depth * columns, 3),
                                         of_bias = numbers(depth, 5), of_aux = numbers(aux_stride * columns, 6);
  Stream stream;
  OnCard<float> a{stream, left}, b{stream, right}, d{stream, numbers(rows*columns, 1)}, bias{stream, of_bias},
      aux{stream, of_aux};
  DeviceMemory workspace{256};
  LtLayout of_a{CUDA_R_32F, rows, depth, rows}, of_b{CUDA_R_32F, depth, columns, depth},
      of_d{CUDA_R_32F, rows, columns, rows};
  cublasLtMatmulDesc_t desc = nullptr;
};

TEST_F(CublasLtEpilogues, a_bias_is_added_to_each_row_of_the_column_major_result) {
  run(CUBLASLT_EPILOGUE_BIAS, 0.5F);
  expect_d([](int i, int j) { return product(i, j) + numbers(rows * columns, 1)[j * rows + i] / 2 + of_bias[i]; });
}

TEST_F(CublasLtEpilogues, gelu_keeps_what_it_was_given) {
  run(CUBLASLT_EPILOGUE_GELU_AUX_BIAS);
  expect_d([](int i, int j) { return gelu_of(product(i, j) + of_bias[i]); });
  const std::vector<float> kept = aux.read();
  for (int j = 0; j < columns; ++j)
    for (int i = 0; i < aux_stride; ++i)
      EXPECT_TRUE(close(kept[j * aux_stride + i], i < rows ? product(i, j) + of_bias[i] : aux_at(i, j), DType::fp32));
}

TEST_F(CublasLtEpilogues, the_gradient_of_gelu_is_that_of_the_aux_matrix) {
  run(CUBLASLT_EPILOGUE_DGELU);
  expect_d([](int i, int j) { return product(i, j) * gelu_slope_of(aux_at(i, j)); });
  EXPECT_EQ(aux.read(), of_aux);
  expect_bias(0, {});
}

TEST_F(CublasLtEpilogues, its_bias_gradient_is_the_sum_over_columns) {
  run(CUBLASLT_EPILOGUE_DGELU_BGRAD);
  expect_d([](int i, int j) { return product(i, j) * gelu_slope_of(aux_at(i, j)); });
  expect_bias(rows, [](int i) {
    float sum = 0;
    for (int j = 0; j < columns; ++j) sum += product(i, j) * gelu_slope_of(aux_at(i, j));
    return sum;
  });
}

TEST_F(CublasLtEpilogues, the_bias_gradient_of_the_left_operand_is_its_sum_over_the_depth) {
  run(CUBLASLT_EPILOGUE_BGRADA);
  expect_d(product);
  expect_bias(rows, [](int i) {
    float sum = 0;
    for (int k = 0; k < depth; ++k) sum += left[k * rows + i];
    return sum;
  });
}

TEST_F(CublasLtEpilogues, and_that_of_the_right_one) {
  run(CUBLASLT_EPILOGUE_BGRADB);
  expect_d(product);
  expect_bias(columns, [](int j) {
    float sum = 0;
    for (int k = 0; k < depth; ++k) sum += right[j * depth + k];
    return sum;
  });
}

TEST_F(CublasLtEpilogues, the_real_setters_check_the_size_of_a_value_and_the_stand_in_the_value) {
  const std::int64_t wide = CUBLAS_OP_T;
  EXPECT_EQ(cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_TRANSA, &wide, sizeof(wide)),
            CUBLAS_STATUS_INVALID_VALUE);
  const std::int32_t no_operation = 77;
  EXPECT_EQ(cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_TRANSA, &no_operation, sizeof(no_operation)),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_THROW(run(CUBLASLT_EPILOGUE_DEFAULT), std::exception);
}

TEST_F(CublasLtEpilogues, what_is_not_emulated_or_does_not_fit_is_refused) {
  const auto refused = [&](cublasLtEpilogue_t epilogue, const std::function<void()>& spoil,
                           const std::function<void()>& mend) {
    spoil();
    EXPECT_THROW(run(epilogue), std::exception);
    mend();
  };
  const auto nothing = [] {};
  for (const cublasLtEpilogue_t epilogue : {CUBLASLT_EPILOGUE_RELU, CUBLASLT_EPILOGUE_GELU, CUBLASLT_EPILOGUE_DRELU})
    refused(epilogue, nothing, nothing);
  const auto aux_ld = [&](std::int64_t stride) {
    return [=, this] { set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, stride); };
  };
  refused(CUBLASLT_EPILOGUE_DGELU, aux_ld(4), aux_ld(aux_stride));  // below the rows
  refused(CUBLASLT_EPILOGUE_DGELU, aux_ld(9), aux_ld(aux_stride));  // not of eights
  const auto bias_type = [&](std::int32_t type) {
    return [=, this] { set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, type); };
  };
  refused(CUBLASLT_EPILOGUE_BIAS, bias_type(CUDA_R_16BF), bias_type(CUDA_R_32F));
  const auto bias_at = [&](const void* at) { return [=, this] { set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, at); }; };
  refused(CUBLASLT_EPILOGUE_BIAS, bias_at(nullptr), bias_at(bias.at()));
  refused(CUBLASLT_EPILOGUE_BGRADA, bias_at(left.data()), bias_at(bias.at()));
  const auto order = [&](cublasLtOrder_t order) {
    return [=, this] { of_d.set(CUBLASLT_MATRIX_LAYOUT_ORDER, static_cast<std::int32_t>(order)); };
  };
  refused(CUBLASLT_EPILOGUE_GELU_AUX_BIAS, order(CUBLASLT_ORDER_ROW), order(CUBLASLT_ORDER_COL));
  const auto type_of_a = [&](cudaDataType type) {
    return [=, this] { of_a.set(CUBLASLT_MATRIX_LAYOUT_TYPE, static_cast<std::uint32_t>(type)); };
  };
  refused(CUBLASLT_EPILOGUE_DEFAULT, type_of_a(CUDA_R_16F), type_of_a(CUDA_R_32F));
  run(CUBLASLT_EPILOGUE_DGELU_BGRAD);  // all was mended
}

}  // namespace stepscope::testing
