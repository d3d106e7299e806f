// The order of a reduction is part of its promise: element i goes to lane i mod 32, lanes in order, then a tree.
#include "model/cpu/lanes.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace stepscope {

namespace {

std::string joined(const std::string& a, const std::string& b) {  // shows the order: "(0+32)"
  return a.empty() || b.empty() ? a + b : "(" + a + "+" + b + ")";
}

std::string tree(const std::vector<std::string>& lanes, std::size_t first, std::size_t stride) {
  return stride == lanes.size() ? lanes[first]
                                : joined(tree(lanes, first, 2 * stride), tree(lanes, first + stride, 2 * stride));
}

std::string order_of(std::int64_t n) {
  return reduce_lanes(
      n, std::string(), [](std::int64_t i) { return std::to_string(i); }, joined);
}

}  // namespace

TEST(Lanes, combine_in_the_written_order) {
  for (const std::int64_t n : {0, 1, 31, 32, 33, 64, 100}) {
    std::vector<std::string> lanes(lane_count);
    for (std::int64_t i = 0; i < n; ++i) {
      std::string& lane = lanes[static_cast<std::size_t>(i % lane_count)];
      lane = joined(lane, std::to_string(i));
    }
    EXPECT_EQ(order_of(n), tree(lanes, 0, 1)) << n;
  }
}

}  // namespace stepscope
