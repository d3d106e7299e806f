// copy_to_host, copy_from_host: a tensor in another memory, bit for bit.
//     to = from
// in   x, any type     out   the same, in the other memory
// On a CPU both memories are the host's, and the bytes are moved by its threads; a card's link carries them beside its kernels.
// Bound by the link: as many bytes as the tensor has, in one direction.
#pragma once

#include <cstdint>

#include "model/base/body.h"

namespace stepscope {

template <class Team, class Word>
STEPSCOPE_BODY void copy_range(const Team& team, const Word* from, Word* to, std::int64_t n) {
  team.for_each(n, [=](std::int64_t i) { to[i] = from[i]; });
}

}  // namespace stepscope
