// rotary: every query and key is turned by its position's angles, pair by pair.
//     y[i] = x[i] cos a_i - x[i + D/2] sin a_i     y[i + D/2] = x[i + D/2] cos a_i + x[i] sin a_i     a_i = s f_i
// in   x [D] any float · cos, sin [D/2] fp32 (fp64 for fp64), of an angle taken in fp64     out   y as x, one rounding, may lie over x
// f_i = theta^(-2 i / D). Stretched: with w = 2 pi / f and L tokens, f stays where w < L / high, becomes f / factor where w > L / low,
// and between them goes over from one to the other in proportion to L / w.
// Backward turns by -a: the same with sin negated; it needs nothing but the gradient.
// Bound by bytes: each element read and written once; angles are made once a position and serve all heads and rows.
// Source: Su et al. 2021, arXiv:2104.09864, equation 34. Stretching: Llama 3.1's reference model, apply_scaling.
#pragma once

#include <cmath>
#include <cstdint>

#include "model/base/body.h"
#include "model/base/half.h"

namespace stepscope {

// f_i. original 0: as theta alone says.
STEPSCOPE_BODY inline double rotary_frequency(double theta, double factor, double low, double high, double original,
                                              std::int64_t i, std::int64_t width) {
  const double frequency = std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(width));
  if (original == 0) return frequency;
  const double turns = original * frequency / 6.283185307179586477;  // that the pair makes in `original` tokens: L / w
  if (turns > high) return frequency;
  if (turns < low) return frequency / factor;
  const double share = (turns - low) / (high - low);
  return (1 - share) * frequency / factor + share * frequency;
}

template <class Team, class A>
STEPSCOPE_BODY void rotary_angles(const Team& team, std::int64_t position, const double* frequencies, A* cosines,
                                  A* sines, std::int64_t pairs) {
  team.for_each(pairs, [=](std::int64_t i) {
    const double angle = static_cast<double>(position) * frequencies[i];
    cosines[i] = static_cast<A>(std::cos(angle));
    sines[i] = static_cast<A>(std::sin(angle));
  });
}

// One head of one row; direction 1 forward, -1 backward.
template <class Team, class T>
STEPSCOPE_BODY void rotary_head(const Team& team, const T* x, T* y, const Accumulator<T>* cosines,
                                const Accumulator<T>* sines, Accumulator<T> direction, std::int64_t pairs) {
  team.for_each(pairs, [=](std::int64_t i) {
    const Accumulator<T> first = load(x[i]), second = load(x[i + pairs]), sine = direction * sines[i];
    y[i] = store<T>(first * cosines[i] - second * sine);
    y[i + pairs] = store<T>(second * cosines[i] + first * sine);
  });
}

}  // namespace stepscope
