#include "model/base/tolerance.h"

#include <gtest/gtest.h>

#include <cmath>

namespace stepscope {
namespace {

constexpr DType floating[] = {DType::fp64, DType::fp32, DType::bf16, DType::fp16};

TEST(Tolerance, not_a_number_never_passes) {
  for (const DType dtype : floating) {
    EXPECT_FALSE(close(NAN, NAN, dtype));
    EXPECT_FALSE(close(NAN, 1, dtype));
    EXPECT_FALSE(close(1, NAN, dtype));
  }
}

TEST(Tolerance, infinity_passes_only_beside_itself) {
  for (const DType dtype : floating) {
    EXPECT_TRUE(close(INFINITY, INFINITY, dtype));
    EXPECT_FALSE(close(INFINITY, -INFINITY, dtype));
    EXPECT_FALSE(close(INFINITY, 1e300, dtype));
  }
}

TEST(Tolerance, is_symmetric_and_has_its_edge_where_it_says) {
  for (const DType dtype : floating) {
    const Tolerance limit = tolerance(dtype);
    for (const double value : {0.0, 1.0, -40.0, 1e6}) {
      const double edge = (limit.absolute + limit.relative * std::fabs(value)) / (1 - limit.relative);
      const double sign = value < 0 ? -1 : 1;
      EXPECT_TRUE(close(value, value + sign * edge * 0.99, dtype));
      EXPECT_TRUE(close(value + sign * edge * 0.99, value, dtype));
      EXPECT_FALSE(close(value, value + sign * edge * 1.01, dtype));
      EXPECT_FALSE(close(value + sign * edge * 1.01, value, dtype));
    }
  }
}

TEST(Tolerance, integers_must_be_equal) {
  EXPECT_TRUE(close(3, 3, DType::int32));
  EXPECT_FALSE(close(3, 4, DType::int32));
}

TEST(Tolerance, a_type_is_never_stricter_than_a_finer_one) {
  for (const double difference : {1e-12, 1e-6, 1e-3, 1e-2}) {
    const auto passes = [&](DType dtype) { return close(1, 1 + difference, dtype); };
    EXPECT_LE(passes(DType::fp64), passes(DType::fp32)) << difference;
    EXPECT_LE(passes(DType::fp32), passes(DType::fp16)) << difference;
    EXPECT_LE(passes(DType::fp16), passes(DType::bf16)) << difference;
  }
}

}  // namespace
}  // namespace stepscope
