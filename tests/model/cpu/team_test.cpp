// What bodies rely on: every element is visited once, whatever n is, and packs begin at multiples of their size.
#include "model/cpu/team.h"

#include <gtest/gtest.h>

#include <vector>

namespace stepscope {

TEST(Team, visits_every_element_once) {
  for (const std::int64_t n : {0, 1, 7, 8, 9, 24}) {
    std::vector<int> visits(static_cast<std::size_t>(n)), packed = visits;
    Team{}.for_each(n, [&](std::int64_t i) { ++visits[static_cast<std::size_t>(i)]; });
    Team{}.for_each_pack<8>(n, [&](std::int64_t first, auto count) {
      EXPECT_EQ(first % 8, 0);
      Team{}.for_each_of_pack(count, [&](int j) { ++packed[static_cast<std::size_t>(first + j)]; });
    });
    EXPECT_EQ(visits, std::vector<int>(static_cast<std::size_t>(n), 1));
    EXPECT_EQ(packed, visits);
  }
}

TEST(Team, sums_to_what_a_reduction_of_the_same_elements_is) {
  const auto element = [](std::int64_t i) { return 1.0f / static_cast<float>(i + 1); };
  EXPECT_EQ(Team{}.sum<float>(1000, element),
            Team{}.reduce(1000, 0.0f, element, [](float a, float b) { return a + b; }));
}

}  // namespace stepscope
