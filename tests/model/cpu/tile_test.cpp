// Chunks cut a range into pieces that depend on its length alone; a tile visits the rows of a column in order.
#include "model/cpu/tile.h"

#include <gtest/gtest.h>

#include <vector>

namespace stepscope {

TEST(Chunks, cover_a_range_without_gap_or_overlap) {
  for (const std::int64_t n : {0, 1, 63, 64, 65, 1000}) {
    const Chunks chunks = partial_chunks(n);
    std::int64_t at = 0;
    for (std::int64_t c = 0; c < chunks.count(); ++c) {
      EXPECT_EQ(chunks.begin(c), at);
      EXPECT_GT(chunks.length(c), 0);
      at = chunks.end(c);
    }
    EXPECT_EQ(at, n);
  }
}

TEST(Chunks, of_rows_hold_at_least_one_and_no_more_than_a_task_should) {
  for (const std::int64_t columns : {1, 7, 1024, 16 * 1024, 100 * 1024}) {
    const Chunks chunks = row_chunks(1000, columns);
    EXPECT_GE(chunks.size, 1);
    EXPECT_TRUE(chunks.size == 1 || chunks.size * columns <= elements_per_task);
  }
}

TEST(Tile, visits_the_rows_of_a_column_in_order) {
  std::vector<std::vector<std::int64_t>> rows(5);
  Tile{}.for_each(
      3, 9, 5, [&](std::int64_t row, std::int64_t column) { rows[static_cast<std::size_t>(column)].push_back(row); });
  for (const auto& visited : rows) EXPECT_EQ(visited, (std::vector<std::int64_t>{3, 4, 5, 6, 7, 8}));
}

}  // namespace stepscope
