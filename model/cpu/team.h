// Who carries out a body: a team works on one row or one range of elements. Bodies (operations/NAME/NAME_body.h) are written
// over any team; this one is a single thread with vector lanes, a card's is a block of threads.
//     template <class Team, class T> void scale_row(const Team& team, T* x, std::int64_t n) {
//       const float most = team.reduce(n, 0.0f, [=](std::int64_t i) { return abs_of(load(x[i])); }, max_of<float>);
//       team.for_each(n, [=](std::int64_t i) { x[i] = store<T>(load(x[i]) / most); });
//     }
// for_each          f(i) for i in [0, n); calls for different i touch different elements, so their order is free
// for_each_pack<N>  f(first, count): elements first .. first + count - 1, count = N (a constant) but for the last pack
// reduce            combines element(i) in an order fixed by n alone; every member of a team gets the result
// local             a row held where it is cheap to read several times: reads row[i] as a float, whatever is written over x later
//                   by for_each at the same i. Here that is x itself, in the first cache; on a card, registers.
#pragma once

#include <cstdint>
#include <type_traits>

#include "model/base/body.h"
#include "model/base/half.h"
#include "model/cpu/lanes.h"

namespace stepscope {

struct Team {
  static constexpr int random_pack = 64;  // features whose random words are made at once (16 counters fill the vectors)

  template <class F>
  STEPSCOPE_INLINE void for_each(std::int64_t n, F f) const {
#pragma GCC ivdep
    for (std::int64_t i = 0; i < n; ++i) f(i);
  }

  template <int N, class F>
  STEPSCOPE_INLINE void for_each_pack(std::int64_t n, F f) const {
    const std::int64_t whole = n - n % N;
    for (std::int64_t first = 0; first < whole; first += N) f(first, std::integral_constant<int, N>{});
    if (whole < n) f(whole, static_cast<int>(n - whole));
  }

  // Inside a pack, which one member of the team has to itself: f(j) for j in [0, count).
  template <class Count, class F>
  STEPSCOPE_INLINE void for_each_of_pack(Count count, F f) const {
    const int n = count;
#pragma GCC ivdep
    for (int j = 0; j < n; ++j) f(j);
  }

  template <class T, class Element, class Combine>
  STEPSCOPE_INLINE T reduce(std::int64_t n, T identity, Element element, Combine combine) const {
    return reduce_lanes(n, identity, element, combine);
  }

  template <class T>
  STEPSCOPE_INLINE T sum(std::int64_t n, auto element) const {
    return reduce_lanes(n, T(0), element, [](T a, T b) { return a + b; });
  }

  template <class T>
  struct Local {
    const T* x;
    STEPSCOPE_INLINE Accumulator<T> operator[](std::int64_t i) const { return load(x[i]); }
  };
  template <class T>
  STEPSCOPE_INLINE Local<T> local(const T* x, std::int64_t /*n*/) const {
    return {x};
  }
};

}  // namespace stepscope
