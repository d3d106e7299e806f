// Philox against the published vectors, and what a dropout mask promises.
#include "model/base/philox.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

namespace stepscope {
namespace {

bool same(const Words4& a, const Words4& b) { return std::equal(a.word, a.word + 4, b.word); }

// Random123 1.14, examples/kat_vectors, rows "philox4x32 10".
TEST(Philox, known_answers) {
  EXPECT_TRUE(same(philox(0, 0, {{0, 0, 0, 0}}), {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}}));
  EXPECT_TRUE(same(philox(0xffffffff, 0xffffffff, {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}}),
                   {{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}}));
  EXPECT_TRUE(same(philox(0xa4093822, 0x299f31d0, {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}}),
                   {{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}));
}

TEST(Philox, is_usable_at_compile_time) { static_assert(philox(0, 0, {{0, 0, 0, 0}}).word[0] == 0x6627e8d5); }

TEST(Philox, every_part_of_the_key_changes_the_mask) {
  const auto bits = [](std::uint64_t seed, std::uint32_t site, std::uint32_t step, std::uint32_t token,
                       std::uint32_t block) { return dropout_bits(seed, site, step, token, block).word[0]; };
  const std::set<std::uint32_t> different = {bits(1, 1, 1, 1, 1),
                                             bits(2, 1, 1, 1, 1),
                                             bits(1, 2, 1, 1, 1),
                                             bits(1, 1, 2, 1, 1),
                                             bits(1, 1, 1, 2, 1),
                                             bits(1, 1, 1, 1, 2),
                                             bits(1 + (1ull << 32), 1, 1, 1, 1)};
  EXPECT_EQ(different.size(), 7u);
}

// Share dropped of n independent trials: within five standard deviations, of each lane and of both halves of the tokens.
TEST(Philox, drops_the_given_share) {
  constexpr int trials = 50000;
  for (const double rate : {0.1, 0.5, 0.9}) {
    const double limit = 5 * std::sqrt(rate * (1 - rate) / trials);
    for (int lane = 0; lane < 4; ++lane) {
      int dropped = 0;
      for (std::uint32_t token = 0; token < trials; ++token)
        dropped += dropout_bits(7, 3, 11, token, 5).word[lane] < drop_threshold(rate);
      EXPECT_NEAR(static_cast<double>(dropped) / trials, rate, limit) << lane;
    }
  }
  EXPECT_EQ(drop_threshold(0), 0u);  // nothing is below it
}

TEST(Philox, uniform_never_reaches_one) {
  EXPECT_EQ(uniform(0), 0.0f);
  EXPECT_LT(uniform(0xffffffffu), 1.0f);
  EXPECT_EQ(uniform(0x80000000u), 0.5f);
}

}  // namespace
}  // namespace stepscope
