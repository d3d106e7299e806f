// swiglu: silu of the gate times the other half.
//     g = z s u,  s = 1 / (1 + exp(-z)),  z the gate, u up
// in   z, u [N, M] any float     out   g [N, M] as they     M the width of the MLP
// Backward, in one pass over dg, z and u:  dz = dg u (s + z s (1 - s))     du = dg z s     each may lie over what it is made of.
// Bound by arithmetic on a CPU (one exp an element), by bytes on a card: 3 elements forward, 5 backward.
// Source: Shazeer 2020, arXiv:2002.05202, equation 6.
#pragma once

#include <cstdint>

#include "model/base/body.h"
#include "model/base/half.h"
#include "model/base/math.h"

namespace stepscope {

template <class A>
STEPSCOPE_INLINE A sigmoid_of(A z) {
  return A(1) / (A(1) + exp_of(-z));
}

template <class Team, class T>
STEPSCOPE_BODY void swiglu_range(const Team& team, const T* gate, const T* up, T* g, std::int64_t n) {
  team.for_each(n, [=](std::int64_t i) {
    const Accumulator<T> z = load(gate[i]);
    g[i] = store<T>(z * sigmoid_of(z) * load(up[i]));
  });
}

template <class Team, class T>
STEPSCOPE_BODY void swiglu_gradient_range(const Team& team, const T* dg, const T* gate, const T* up, T* dgate, T* dup,
                                          std::int64_t n) {
  using A = Accumulator<T>;
  team.for_each(n, [=](std::int64_t i) {
    const A outer = load(dg[i]), z = load(gate[i]), u = load(up[i]);
    const A share = sigmoid_of(z), silu = z * share;
    dgate[i] = store<T>(outer * u * (share + silu * (A(1) - share)));
    dup[i] = store<T>(outer * silu);
  });
}

}  // namespace stepscope
