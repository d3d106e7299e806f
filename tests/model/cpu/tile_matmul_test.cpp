// One-thread matmuls: shared by spec, marked as library calls, and steady under oneDNN's cache of kernels.
#include "model/cpu/tile_matmul.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <memory>

#include "model/base/error.h"
#include "model/cpu/library_guard.h"

namespace stepscope {
namespace {

struct Scratch {
  explicit Scratch(const TileMatmul& tile)
      : bytes(std::aligned_alloc(256, static_cast<std::size_t>(round_up(tile.scratch_bytes() + 256, 256)))) {}
  ~Scratch() { std::free(bytes); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  void* bytes;
};

constexpr TileSpec two_by_two{.m = 2, .n = 2, .k = 2, .a_stride = 2, .b_stride = 2, .c_stride = 2};

TEST(TileMatmul, is_one_object_a_spec) {
  TileSpec other = two_by_two;
  other.add = true;
  EXPECT_EQ(TileMatmul::get(two_by_two), TileMatmul::get(two_by_two));
  EXPECT_NE(TileMatmul::get(two_by_two), TileMatmul::get(other));
}

TEST(TileMatmul, multiplies_and_adds) {
  const std::array<float, 4> a{1, 2, 3, 4}, b{5, 6, 7, 8};
  std::array<float, 4> c{100, 100, 100, 100};
  TileSpec adding = two_by_two;
  adding.add = true;
  const auto tile = TileMatmul::get(adding);
  const Scratch scratch(*tile);
  TileMatmul::Call(tile).run(a.data(), b.data(), c.data(), nullptr, scratch.bytes);
  EXPECT_EQ(c, (std::array<float, 4>{119, 122, 143, 150}));
  EXPECT_FALSE(inside_library());
}

// 2.6.3 gives one kernel to specs that differ only in the stride of an axis of one element, whatever scratch each was planned with.
TEST(TileMatmul, plans_the_scratch_of_the_kernel_it_gets_for_axes_of_one_element) {
  for (const std::int64_t a_stride : {1, 2, 5})
    for (const std::int64_t b_stride : {1, 3, 12})
      for (const bool transpose_a : {false, true})
        for (const bool transpose_b : {false, true}) {
          const auto tile = TileMatmul::get({.m = 1,
                                             .n = 1,
                                             .k = 1,
                                             .transpose_a = transpose_a,
                                             .transpose_b = transpose_b,
                                             .a_stride = a_stride,
                                             .b_stride = b_stride,
                                             .c_stride = b_stride,
                                             .add = true});
          const Scratch scratch(*tile);
          const float a = 3, b = 5;
          float c = 1;
          TileMatmul::Call(tile).run(&a, &b, &c, nullptr, scratch.bytes);
          EXPECT_EQ(c, 16);
        }
}

TEST(LibraryGuard, marks_a_nest_of_calls) {
  EXPECT_FALSE(inside_library());
  {
    const LibraryGuard outer;
    { const LibraryGuard inner; }
    EXPECT_TRUE(inside_library());
  }
  EXPECT_FALSE(inside_library());
}

}  // namespace
}  // namespace stepscope
