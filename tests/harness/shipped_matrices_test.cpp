// Every matrix that is shipped can be read; texts are what a user has.
#include <gtest/gtest.h>

#include <filesystem>

#include "harness/matrix.h"

namespace stepscope::testing {

TEST(ShippedMatrices, can_be_read) {
  int matrices = 0;
  for (const char* folder : {"/harness/matrices", "/scripts/gpu_stages/matrices"})
    for (const auto& entry : std::filesystem::directory_iterator(std::string(STEPSCOPE_SOURCE_DIR) + folder)) {
      SCOPED_TRACE(entry.path().string());
      EXPECT_FALSE(read_matrix(entry.path().string(), overrides_of({"source=synthetic"}, "", "")).cells.empty());
      ++matrices;
    }
  EXPECT_GE(matrices, 11);
}

}  // namespace stepscope::testing
