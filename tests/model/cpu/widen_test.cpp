// Rows of narrow numbers to fp32 and back, over gaps between rows.
#include "model/cpu/widen.h"

#include <gtest/gtest.h>

#include <vector>

#include "model/base/half.h"

namespace stepscope {
namespace {

TEST(Widen, keeps_values_and_gaps) {
  const std::vector<bf16> narrow{to_bf16(1), to_bf16(-2), to_bf16(99), to_bf16(0.5F), to_bf16(3), to_bf16(99)};
  std::vector<float> wide(8, 7);
  widen_rows(DType::bf16, narrow.data(), 3, wide.data(), 4, 2, 2);
  EXPECT_EQ(wide, (std::vector<float>{1, -2, 7, 7, 0.5F, 3, 7, 7}));
}

TEST(Widen, rounds_to_nearest_even_on_the_way_back) {
  const std::vector<float> wide{1 + 0x1p-8F, 1 + 3 * 0x1p-8F,
                                1 + 0x1p-8F + 0x1p-16F};  // two ties, and one just above a tie
  std::vector<bf16> narrow(3);
  narrow_rows(DType::bf16, wide.data(), 3, narrow.data(), 3, 1, 3);
  EXPECT_EQ(to_float(narrow[0]), 1);
  EXPECT_EQ(to_float(narrow[1]), 1 + 4 * 0x1p-8F);
  EXPECT_EQ(to_float(narrow[2]), 1 + 2 * 0x1p-8F);
}

}  // namespace
}  // namespace stepscope
