// count_tokens: how many targets of a whole step count, before its first micro-step runs.
//     token_count = number of targets >= 0     loss_sum = 0
// in   target [B, S] int32, -1 = ignored     writes   token_count and loss_sum of the control block
// The loss of every micro-step is divided by this count, so a split into micro-steps of unequal numbers of targets changes nothing.
#pragma once

#include <cstdint>

#include "model/base/body.h"

namespace stepscope {

template <class Team>
STEPSCOPE_BODY double count_tokens_range(const Team& team, const std::int32_t* target, std::int64_t n) {
  return static_cast<double>(
      team.template sum<std::int32_t>(n, [=](std::int64_t i) { return target[i] >= 0 ? 1 : 0; }));
}

}  // namespace stepscope
