// embedding: a token's row of the table plus its position's row, if there are such: else the pointers to them are null.
//     x[b, s, :] = table[token[b, s], :] + positions[s, :]
// in   token [b, S] int32 in [0, V) · table [V, H], positions [S, H] fp32     out   x [b, S, H] any float
// Backward:  dtable[v, :] = sum of dx[b, s, :] over the places where token[b, s] = v     dpositions[s, :] = sum of dx[b, s, :] over b
// A scatter in a fixed order: whoever owns a block of features visits all tokens in order, so equal tokens never race and the
// bits depend on nothing but the batch. Rows that no token names become zero, unless the write adds.
// Bound by bytes: forward N H elements out and as many fp32 in, twice; backward N H in, and a read and a write of 2 N H fp32, mostly
// in cache. N = b S.
#pragma once

#include <cstdint>

#include "model/base/body.h"
#include "model/base/half.h"

namespace stepscope {

template <class Team, class T>
STEPSCOPE_BODY void embedding_row(const Team& team, const Accumulator<T>* table_row, const Accumulator<T>* position_row,
                                  T* x, std::int64_t features) {
  if (position_row == nullptr)
    team.for_each(features, [=](std::int64_t j) { x[j] = store<T>(table_row[j]); });
  else
    team.for_each(features, [=](std::int64_t j) { x[j] = store<T>(table_row[j] + position_row[j]); });
}

// Features first .. first + count - 1 of one token: dx goes into its table row and its position's row.
template <class Team, class T>
STEPSCOPE_BODY void embedding_gradient_row(const Team& team, const T* dx, Accumulator<T>* table_row,
                                           Accumulator<T>* position_row, std::int64_t first, std::int64_t count) {
  team.for_each(count, [=](std::int64_t i) {
    const std::int64_t j = first + i;
    const Accumulator<T> gradient = load(dx[j]);
    table_row[j] += gradient;
    if (position_row != nullptr) position_row[j] += gradient;
  });
}

}  // namespace stepscope
