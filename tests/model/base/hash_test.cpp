#include "model/base/hash.h"

#include <gtest/gtest.h>

#include <set>

namespace stepscope {
namespace {

// The finaliser is a bijection that maps 0 to 0, so the published FNV-1a values can be compared after passing them through it.
constexpr std::uint64_t finalised(std::uint64_t h) {
  h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdu;
  h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53u;
  return h ^ (h >> 33);
}

TEST(Hash, known_answers) {  // draft-eastlake-fnv, test vectors of 64 bits
  EXPECT_EQ(hash_of(""), finalised(0xcbf29ce484222325u));
  EXPECT_EQ(hash_of("a"), finalised(0xaf63dc4c8601ec8cu));
  EXPECT_EQ(hash_of("foobar"), finalised(0x85944171f73967e8u));
}

TEST(Hash, parts_hash_as_their_whole) {
  EXPECT_EQ(Hash().add("foo").add("bar").value(), hash_of("foobar"));
  const std::string text = "foobar";
  EXPECT_EQ(hash_of(std::as_bytes(std::span(text))), hash_of(text));
}

TEST(Hash, the_last_character_moves_the_upper_half) {
  std::set<std::uint64_t> upper;
  for (char c = 'a'; c <= 'z'; ++c) upper.insert(hash_of(std::string("blocks.") + c) >> 32);
  EXPECT_EQ(upper.size(), 26u);
}

TEST(Hash, numbers_are_eight_bytes) {
  EXPECT_EQ(Hash().add(std::uint64_t{0x6162}).value(), hash_of(std::string_view("ba\0\0\0\0\0\0", 8)));
}

TEST(Hash, sixteen_digits) {
  EXPECT_EQ(hexadecimal(0), "0000000000000000");
  EXPECT_EQ(hexadecimal(0x9f86d081884c7d65u), "9f86d081884c7d65");
}

}  // namespace
}  // namespace stepscope
