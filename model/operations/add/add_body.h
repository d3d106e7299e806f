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

}  // namespace stepscope
