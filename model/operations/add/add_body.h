// add: the sum of two activations or gradients, where no other operation could take it along.
//     c = a + b
// in   a, b [N, H] any float     out   c [N, H] as a; may lie over a or b
// The sum is rounded once. Bound by bytes: 3 N H elements.
#pragma once

#include <cstdint>

#include "model/base/body.h"
#include "model/base/half.h"

namespace stepscope {

template <class Team, class T>
STEPSCOPE_BODY void add_range(const Team& team, const T* a, const T* b, T* c, std::int64_t n) {
  team.for_each(n, [=](std::int64_t i) { c[i] = store<T>(load(a[i]) + load(b[i])); });
}

// add_rows: y = so_far with `count` elements of a piece added from `first` on; without so_far (null) the rest is 0.
// in   piece [count], so_far [n] any float     out   y [n], may lie over so_far
// The part [begin, end) of y.
template <class Team, class T>
STEPSCOPE_BODY void add_rows_range(const Team& team, const T* piece, const T* so_far, T* y, std::int64_t first,
                                   std::int64_t count, std::int64_t begin, std::int64_t end) {
  team.for_each(end - begin, [=](std::int64_t k) {
    const std::int64_t i = begin + k;
    const Accumulator<T> held = so_far == nullptr ? Accumulator<T>(0) : load(so_far[i]);
    y[i] = store<T>(i >= first && i < first + count ? held + load(piece[i - first]) : held);
  });
}

}  // namespace stepscope
