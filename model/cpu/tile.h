// Sums down the columns of a [rows, columns] array, in two stages: rows are cut into chunks of a fixed size, each chunk is
// summed into its own row of partial sums, then the partial sums are added in the order of the chunks. The cut depends on the
// number of rows alone, so the bits do not depend on who ran which chunk.
//     const Chunks chunks{rows, rows_per_partial};
//     threads.parallel_for(chunks.count(), [&](std::int64_t c) {                       // stage 1
//       tile.for_each(chunks.begin(c), chunks.end(c), columns, [&](std::int64_t row, std::int64_t j) { partial[c][j] += x[row][j]; });
//     });
//     tile.for_each(0, chunks.count(), columns, [&](std::int64_t c, std::int64_t j) { sum[j] += partial[c][j]; });   // stage 2
#pragma once

#include <cstdint>

#include "model/base/body.h"

namespace stepscope {

// [0, n) cut into pieces of `size`; the last one may be shorter.
struct Chunks {
  std::int64_t n = 0;
  std::int64_t size = 1;
  [[nodiscard]] constexpr std::int64_t count() const { return (n + size - 1) / size; }
  [[nodiscard]] constexpr std::int64_t begin(std::int64_t chunk) const { return chunk * size; }
  [[nodiscard]] constexpr std::int64_t end(std::int64_t chunk) const {
    const std::int64_t past = (chunk + 1) * size;
    return past < n ? past : n;
  }
  [[nodiscard]] constexpr std::int64_t length(std::int64_t chunk) const { return end(chunk) - begin(chunk); }
};

// Elements that one task takes on: 64 KiB of floats, long enough to hide the handover, short enough to share out evenly.
inline constexpr std::int64_t elements_per_task = 16 * 1024;
[[nodiscard]] constexpr Chunks element_chunks(std::int64_t elements) { return {elements, elements_per_task}; }
// Whole rows of about as many elements.
[[nodiscard]] constexpr Chunks row_chunks(std::int64_t rows, std::int64_t columns) {
  const std::int64_t fitting = columns > 0 ? elements_per_task / columns : 1;
  return {rows, fitting > 1 ? fitting : 1};
}
// Rows that share a partial sum of a column: fewer would make the second stage long, more would leave cores idle.
inline constexpr std::int64_t rows_per_partial = 64;
[[nodiscard]] constexpr Chunks partial_chunks(std::int64_t rows) { return {rows, rows_per_partial}; }

struct Tile {
  // f(row, column): a column belongs to one caller, who visits its rows in order. f may add to something of that column.
  template <class F>
  STEPSCOPE_INLINE void for_each(std::int64_t first_row, std::int64_t past_row, std::int64_t columns, F f) const {
    for (std::int64_t row = first_row; row < past_row; ++row) {
#pragma GCC ivdep
      for (std::int64_t column = 0; column < columns; ++column) f(row, column);
    }
  }
};

}  // namespace stepscope
