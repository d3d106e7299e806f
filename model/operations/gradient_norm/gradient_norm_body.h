// gradient_norm: the length of the gradient of all parameters together, and what clipping makes of it.
//     norm = sqrt(sum over every gradient of g^2)     clip_factor = clip / norm if clip > 0 and norm > clip, else 1
// in   g_1 ... g_n, each of any float     writes   gradient_norm and clip_factor of the control block; adam multiplies every gradient by the factor
// Two stages: ranges of 16,384 elements each to a partial sum in fp64, then the partial sums in order. fp64 because squares of small
// gradients vanish in fp32, and 155 million of them lose three digits.
// Bound by bytes: every gradient once, 4 bytes a parameter.
// Source: Pascanu, Mikolov, Bengio 2013, arXiv:1211.5063, algorithm 1.
#pragma once

#include <cstdint>

#include "model/base/body.h"
#include "model/base/half.h"
#include "model/base/math.h"

namespace stepscope {

template <class Team, class A>
STEPSCOPE_BODY double sum_of_squares(const Team& team, const A* g, std::int64_t n) {
  return team.template sum<double>(
      n, [=](std::int64_t i) { return static_cast<double>(load(g[i])) * static_cast<double>(load(g[i])); });
}

STEPSCOPE_INLINE double clip_factor_of(double norm, double clip) { return clip > 0 && norm > clip ? clip / norm : 1; }

}  // namespace stepscope
