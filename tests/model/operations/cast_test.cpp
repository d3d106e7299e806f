// What only cast promises; the laws of every operation are in operation_laws_test.cpp.
#include "model/operations/cast/cast.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/run_operation.h"

namespace stepscope::testing {

TEST(Cast, rounds_to_nearest_even) {
  // 8 significant bits: 257 and 259 are halfway between neighbours; 2^-133 is the least subnormal.
  const std::vector<double> x{1, -257, 259, 257.0001220703125, 0x1p-133, 0x1p-135, INFINITY, 3.4e38};
  const Ran ran =
      run_operation(cast_kind, {}, {{DType::fp32, {8}, x}}, {{{DType::bf16, {8}, all(8, 0)}, StateKind::copy}});
  EXPECT_EQ(ran.writes[0], (std::vector<double>{1, -256, 260, 258, 0x1p-133, 0, INFINITY, INFINITY}));
}

}  // namespace stepscope::testing
