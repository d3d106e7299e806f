// Dynamic loss scaling, the two pieces of arithmetic.
//     g' = g inverse_scale, written over g; returns the sum of g'^2
//     scale = max(1, scale / 2) after an overflow, 2 scale after `interval` clean steps in a row, else as it was
// in   g [n] any float     out   g' in its place
// The sum is in fp64, where no square of an fp32 number overflows, so it is finite exactly where every gradient is: the check
// costs nothing beside the norm.
// Bound by bytes: 8 a parameter in fp32.
#pragma once

#include <cstdint>

#include "model/base/body.h"
#include "model/base/half.h"
#include "model/base/math.h"

namespace stepscope {

template <class Team, class G>
STEPSCOPE_BODY double unscale_range(const Team& team, G* g, Accumulator<G> inverse_scale, std::int64_t n) {
  team.for_each(n, [=](std::int64_t i) { g[i] = store<G>(load(g[i]) * inverse_scale); });
  return team.template sum<double>(
      n, [=](std::int64_t i) { return static_cast<double>(load(g[i])) * static_cast<double>(load(g[i])); });
}

struct LossScale {
  double scale;
  std::int64_t clean_steps;
};

STEPSCOPE_INLINE LossScale next_loss_scale(LossScale now, bool overflowed, std::int64_t interval) {
  constexpr double least = 1, most = 0x1p64;
  if (overflowed) return {max_of(least, now.scale / 2), 0};
  if (now.clean_steps + 1 < interval) return {now.scale, now.clean_steps + 1};
  return {min_of(most, now.scale * 2), 0};
}

}  // namespace stepscope
