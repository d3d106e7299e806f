// Many matmuls of one shape in one call: what they share, what lies between them, and what must not lie over one another.
#include <gtest/gtest.h>

#include "model/cuda/matmul.cuh"
#include "tests/support/on_card.cuh"

namespace stepscope::testing {

namespace {

// c[z] [2, 3] = a[z] [2, 4] b[z]^T, b stored [3, 4]; a's rows 5 apart, its matrices 11; one b for all; c's rows 3, its matrices
// c_stride.
std::vector<float> products(std::int64_t c_stride) {
  std::vector<float> a(2 * 11 + 9), b(12);
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = static_cast<float>(i % 7) - 3;
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = static_cast<float>(i % 5) - 2;
  const Stream stream;
  const OnCard<float> left(stream, a), right(stream, b);
  const OnCard<float> c(stream, std::vector<float>(static_cast<std::size_t>(2 * c_stride + 6), -1));
  const MatmulLibrary library;
  const MatmulSpec spec{
      .m = 2, .n = 3, .k = 4, .transpose_b = true, .a_stride = 5, .b_stride = 4, .c_stride = 3, .may_add = true};
  const DeviceMemory workspace(static_cast<std::size_t>(matmul_workspace_bytes(spec)));
  const CudaMatmul matmul(library, spec, false,
                          {.a = left.at(), .b = right.at(), .c = c.at(), .workspace = workspace.data()},
                          {.count = 3, .a_stride = 11, .b_stride = 0, .c_stride = c_stride});
  matmul.issue(stream.get(), false);
  matmul.issue(stream.get(), true);  // twice the products
  const std::vector<float> got = c.read();
  for (std::size_t z = 0; z < 3; ++z)
    for (std::size_t i = 0; i < 2; ++i)
      for (std::size_t j = 0; j < 3; ++j) {
        float sum = 0;
        for (std::size_t k = 0; k < 4; ++k) sum += a[z * 11 + i * 5 + k] * b[j * 4 + k];
        EXPECT_EQ(got[z * static_cast<std::size_t>(c_stride) + i * 3 + j], 2 * sum) << z << "," << i << "," << j;
      }
  return got;
}

}  // namespace

TEST(MatmulBatch, multiplies_each_matrix_of_its_operands_and_writes_nothing_between_results) {
  const std::vector<float> got = products(8);
  for (const std::size_t between : {6u, 7u, 14u, 15u}) EXPECT_EQ(got[between], -1);
}

TEST(MatmulBatch, results_over_one_another_are_refused) {
  if (!is_host_simt) GTEST_SKIP() << "of the stand-in alone";
  EXPECT_THROW((void)products(5), std::exception);
}

}  // namespace stepscope::testing
