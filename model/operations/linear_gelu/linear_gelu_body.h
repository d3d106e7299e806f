// linear_gelu: what follows the matmul, which leaves its sums in fp32.
//     u = sums     g = gelu(sums)          du = sums gelu'(u)
// in   sums [n] fp32 (fp64 of fp64)     out   u, g, du [n] any float; sums may be u or du
// Each result is rounded once: g is gelu of the sums, not of the stored u, as a matmul with such an epilogue has it.
// Source: gelu/gelu_body.h.
#pragma once

#include <cstdint>

#include "model/base/body.h"
#include "model/base/half.h"
#include "model/operations/gelu/gelu_body.h"

namespace stepscope {

template <class Team, class T>
STEPSCOPE_BODY void linear_gelu_range(const Team& team, const Accumulator<T>* sums, T* u, T* g, std::int64_t n) {
  team.for_each(n, [=](std::int64_t i) {
    const Accumulator<T> sum = sums[i];
    u[i] = store<T>(sum);
    g[i] = store<T>(gelu_of(sum));
  });
}

template <class Team, class T>
STEPSCOPE_BODY void linear_gelu_gradient_range(const Team& team, const Accumulator<T>* sums, const T* u, T* du,
                                               std::int64_t n) {
  team.for_each(n, [=](std::int64_t i) { du[i] = store<T>(sums[i] * gelu_slope_of(load(u[i]))); });
}

}  // namespace stepscope
