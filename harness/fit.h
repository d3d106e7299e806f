// Whether a cell fits: a device's memory less all that counts beside a step's own states and arena, each figure with its basis.
//     const MemoryFit fit = fit_on_card(find_card("l4"), 0);     fit.margin_bytes(state_bytes, arena_bytes) >= 0
// A budget takes the place of the device's memory. On a card it is for the whole process, so that context, libraries and graph come
// out of it; without a card it is for states and arena alone, which is what a cap on this machine counts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/program/cost.h"
#include "profiles/cards.h"

namespace stepscope {

struct MemoryPart {
  std::string name;  // "context"
  std::int64_t bytes = 0;
  std::string basis = {}, source = {};  // measured | vendor | estimated | given
};

struct MemoryFit {
  MemoryPart memory;  // what there is
  std::vector<MemoryPart> beside = {};  // what counts beside states and arena
  bool copies_states = false;  // states are held twice while used bytes are measured or a state is saved
  bool holds_host = false;  // what is sent to host memory lies in it too: a CPU's

  // What is left for states and arena; below 0 where not even the rest fits.
  [[nodiscard]] std::int64_t limit_bytes(std::int64_t state_bytes) const;
  [[nodiscard]] std::int64_t margin_bytes(std::int64_t state_bytes, std::int64_t arena_bytes) const {
    return limit_bytes(state_bytes) - state_bytes - arena_bytes;
  }
  // All that counts beside a cell with these states.
  [[nodiscard]] std::vector<MemoryPart> beside_of(std::int64_t state_bytes) const;
};

[[nodiscard]] MemoryFit fit_on_card(const CardFile& card, std::int64_t budget_bytes);  // 0: the card's memory
[[nodiscard]] MemoryFit fit_here(const Machine& machine, std::int64_t budget_bytes);  // 0: this machine's memory

}  // namespace stepscope
