// exp, log and tanh against the C library in double, over all magnitudes of float.
#include "model/base/math.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace stepscope {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

struct Worst {
  double ulp = 0;
  float at = 0;
};

// Every 4099th pattern of float, negative and positive: each power of two is met at 2,046 points. Infinite and NaN results must match.
template <class Own, class Exact>
Worst sweep(Own own, Exact exact) {
  Worst worst;
  for (std::uint64_t bits = 0; bits < (1ull << 32); bits += 4099) {
    const float x = bits_as<float>(static_cast<std::uint32_t>(bits));
    const float got = own(x);
    const double expected = exact(double{x});
    const auto nearest = static_cast<float>(expected);
    if (std::isnan(expected) || std::isinf(nearest)) {
      if (std::isnan(expected) ? !std::isnan(got) : got != nearest) return {infinity, x};
      continue;
    }
    int exponent = 0;
    std::frexp(expected, &exponent);
    const double unit = std::ldexp(1.0, std::max(exponent - 24, -149));
    const double ulp = std::fabs(got - expected) / unit;
    if (!(ulp <= worst.ulp)) worst = {ulp, x};
  }
  return worst;
}

void expect_within(const Worst& worst, double limit_ulp) { EXPECT_LT(worst.ulp, limit_ulp) << "at " << worst.at; }

TEST(Math, exp_holds_its_bound_everywhere) {
  expect_within(sweep([](float x) { return exp_of(x); }, [](double x) { return std::exp(x); }), 1.25);
}
TEST(Math, log_holds_its_bound_everywhere) {
  expect_within(sweep([](float x) { return log_of(x); }, [](double x) { return std::log(x); }), 1);
}
TEST(Math, tanh_holds_its_bound_everywhere) {
  expect_within(sweep([](float x) { return tanh_of(x); }, [](double x) { return std::tanh(x); }), 1.5);
}

TEST(Math, special_values_of_exp) {
  EXPECT_EQ(exp_of(0.0f), 1.0f);
  EXPECT_EQ(exp_of(-0.0f), 1.0f);
  EXPECT_EQ(exp_of(infinity), infinity);
  EXPECT_EQ(exp_of(-infinity), 0.0f);
  EXPECT_EQ(exp_of(std::numeric_limits<float>::lowest()), 0.0f);  // a masked score
  EXPECT_EQ(exp_of(-104.0f), 0.0f);
  EXPECT_EQ(exp_of(-103.5f), std::numeric_limits<float>::denorm_min());
  EXPECT_EQ(exp_of(89.0f), infinity);
  EXPECT_TRUE(std::isnan(exp_of(nan)));
}

TEST(Math, special_values_of_log) {
  EXPECT_EQ(log_of(1.0f), 0.0f);
  EXPECT_EQ(log_of(0.0f), -infinity);
  EXPECT_EQ(log_of(-0.0f), -infinity);
  EXPECT_EQ(log_of(infinity), infinity);
  EXPECT_TRUE(std::isnan(log_of(-1.0f)));
  EXPECT_TRUE(std::isnan(log_of(-infinity)));
  EXPECT_TRUE(std::isnan(log_of(nan)));
}

TEST(Math, special_values_of_tanh) {
  EXPECT_EQ(tanh_of(infinity), 1.0f);
  EXPECT_EQ(tanh_of(-infinity), -1.0f);
  EXPECT_EQ(tanh_of(std::numeric_limits<float>::denorm_min()), std::numeric_limits<float>::denorm_min());
  EXPECT_TRUE(std::signbit(tanh_of(-0.0f)));
  EXPECT_TRUE(std::isnan(tanh_of(nan)));
}

TEST(Math, tanh_is_odd_and_bounded) {
  for (float x = 0; x < 12; x += 0.0137f) {
    EXPECT_EQ(tanh_of(-x), -tanh_of(x)) << x;
    EXPECT_LE(tanh_of(x), 1.0f) << x;
  }
}

TEST(Math, double_forms_are_the_library) {
  EXPECT_EQ(exp_of(0.3), std::exp(0.3));
  EXPECT_EQ(log_of(0.3), std::log(0.3));
  EXPECT_EQ(tanh_of(0.3), std::tanh(0.3));
}

TEST(Math, maximum_and_minimum) {
  EXPECT_EQ(max_of(2.0f, 3.0f), 3.0f);
  EXPECT_EQ(min_of(2.0f, 3.0f), 2.0f);
  EXPECT_EQ(max_of(2.0f, nan), 2.0f);
  EXPECT_EQ(abs_of(-2.5f), 2.5f);
  EXPECT_FALSE(std::signbit(abs_of(-0.0f)));
}

}  // namespace
}  // namespace stepscope
