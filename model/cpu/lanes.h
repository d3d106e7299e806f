// Sums and maxima that vector units are good at, in an order that is written down: element i goes to lane i mod 32, each lane
// combines its elements in order, then the lanes meet in a tree (0 with 16, 0 with 8, ...). The order depends on n alone, so
// neither the width of a vector register nor the number of threads can change a bit.
//     const float sum = reduce_lanes(n, 0.0f, [=](std::int64_t i) { return x[i]; }, [](float a, float b) { return a + b; });
// Measured with g++ 12 -O3 on 4,096 floats: one lane 0.75 ns an element, 16 lanes 0.05 (a maximum 0.14), 32 lanes 0.036 (0.035).
#pragma once

#include <cstdint>

#include "model/base/body.h"

namespace stepscope {

inline constexpr int lane_count = 32;

template <class T, class Element, class Combine>
STEPSCOPE_INLINE T reduce_lanes(std::int64_t n, T identity, Element element, Combine combine) {
  T lane[lane_count];
  for (int l = 0; l < lane_count; ++l) lane[l] = identity;
  const std::int64_t whole = n - n % lane_count;
  for (std::int64_t first = 0; first < whole; first += lane_count)
    for (int l = 0; l < lane_count; ++l) lane[l] = combine(lane[l], element(first + l));
  for (std::int64_t i = whole; i < n; ++i) lane[i - whole] = combine(lane[i - whole], element(i));
  for (int width = lane_count / 2; width > 0; width /= 2)
    for (int l = 0; l < width; ++l) lane[l] = combine(lane[l], lane[l + width]);
  return lane[0];
}

}  // namespace stepscope
