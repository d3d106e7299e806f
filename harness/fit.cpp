#include "harness/fit.h"

#include <array>
#include <cmath>

#include "harness/disturbance.h"
#include "harness/simulated_device.h"

namespace stepscope {

namespace {

MemoryPart given(std::int64_t budget_bytes) {
  return {.name = "budget", .bytes = budget_bytes, .basis = "given", .source = "--budget"};
}

}  // namespace

std::vector<MemoryPart> MemoryFit::beside_of(std::int64_t state_bytes) const {
  std::vector<MemoryPart> parts = beside;
  if (copies_states)
    parts.push_back({.name = "copy of the states",
                     .bytes = state_bytes,
                     .basis = "measured",
                     .source = "held while used bytes are measured or a state is saved: resident bytes of a step of "
                               "seed-small less its plan, with and without"});
  return parts;
}

std::int64_t MemoryFit::limit_bytes(std::int64_t state_bytes) const {
  std::int64_t left = memory.bytes;
  for (const MemoryPart& part : beside_of(state_bytes)) left -= part.bytes;
  return left;
}

MemoryFit fit_on_card(const CardFile& card, std::int64_t budget_bytes) {
  struct Row {
    const char *key, *name;
  };
  constexpr std::array<Row, 3> rows{
      {{"context_bytes", "context"}, {"library_bytes", "libraries"}, {"graph_bytes", "graph"}}};
  MemoryFit fit;
  const CardFigure& memory = *card.figure("memory_bytes");
  fit.memory = budget_bytes > 0 ? given(budget_bytes)
                                : MemoryPart{.name = card.card.name,
                                             .bytes = std::llround(memory.value),
                                             .basis = memory.basis,
                                             .source = memory.source};
  for (const Row& row : rows)
    if (const CardFigure* figure = card.figure(row.key))
      fit.beside.push_back(
          {.name = row.name, .bytes = std::llround(figure->value), .basis = figure->basis, .source = figure->source});
  return fit;
}

namespace {

// A card that this program drives: its states are held by the host while used bytes are measured.
MemoryFit fit_on_card_here(const Machine& card, std::int64_t budget_bytes) {
  const std::string basis = is_simulated(card) ? "simulated" : "measured";
  MemoryFit fit{.memory = {.name = card.name,
                           .bytes = card.memory_bytes,
                           .basis = basis,
                           .source = "the card's memory, as its driver tells it"}};
  if (budget_bytes > 0) fit.memory = given(budget_bytes);
  fit.beside.push_back({.name = "context",
                        .bytes = card.context_bytes,
                        .basis = basis,
                        .source = "taken of the card before a step's first allocation, by others on it too"});
  return fit;
}

}  // namespace

MemoryFit fit_here(const Machine& machine, std::int64_t budget_bytes) {
  if (machine.has_kernels) return fit_on_card_here(machine, budget_bytes);
  if (budget_bytes > 0) return {.memory = given(budget_bytes), .holds_host = true};
  MemoryFit fit{.memory = {.name = "this machine",
                           .bytes = machine.memory_bytes,
                           .basis = "measured",
                           .source = "physical memory, as the system tells it"},
                .beside = {},
                .copies_states = true,
                .holds_host = true};
  if (const std::optional<std::int64_t> bytes = resident_bytes())
    fit.beside.push_back({.name = "process",
                          .bytes = *bytes,
                          .basis = "measured",
                          .source = "resident bytes of this process before it plans; threads and kernels add to them"});
  return fit;
}

}  // namespace stepscope
