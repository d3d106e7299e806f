// cast: a parameter rounded once a step to the type that it is multiplied in.
//     y = x, to nearest, ties to even
// in   x [n] fp32     out   y [n] bf16 or fp16 (fp64 parameters, in tests, to any float)
// Bound by bytes: 6 n with a 16-bit copy.
#pragma once

#include <cstdint>

#include "model/base/body.h"
#include "model/base/half.h"

namespace stepscope {

template <class Team, class From, class To>
STEPSCOPE_BODY void cast_range(const Team& team, const From* x, To* y, std::int64_t n) {
  team.for_each(n, [=](std::int64_t i) { y[i] = store<To>(static_cast<Accumulator<To>>(load(x[i]))); });
}

}  // namespace stepscope
