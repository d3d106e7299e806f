#include "harness/choices.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "harness/fit.h"
#include "harness/planned.h"
#include "model/base/error.h"
#include "profiles/cards.h"

namespace stepscope {

namespace {

FrontierRow row_of(const BudgetFrontier& frontier, const FrontierMember& member) {
  return {.value = frontier.value_of(member),
          .named = !member.name.empty(),
          .peak_bytes = frontier.planned_peak(member),
          .logits_chunks = member.logits_chunks,
          .step_ns = member.step_ns,
          .repeated_ns = member.repeated_ns,
          .wait_ns = member.on_host.empty() ? std::nullopt : std::optional(member.wait_ns),
          .dominated_by = member.dominated_by};
}

Configuration without_checkpointing(Configuration configuration) {
  configuration.techniques["checkpointing"] = std::string("none");
  return configuration;
}

std::string title_of(const Configuration& configuration) {
  const auto technique = [&](const char* name) { return to_string(field_named(name, "").get(configuration)); };
  const std::string micro_batches = technique("accumulation");
  std::string title =
      fmt::format("{}, {} micro-batch{}", technique("precision"), micro_batches, micro_batches == "1" ? "" : "es");
  for (const Technique& other : techniques()) {
    const std::string name(other.name);
    if (name == "precision" || name == "accumulation" || name == "checkpointing") continue;
    if (field_named(name, "").get(configuration) != other.off)
      title += fmt::format(", {} {}", name, technique(name.c_str()));
  }
  return title;
}

// What a card leaves to a step decides the order, as harness/fit counts it.
std::vector<CardMemory> card_memories() {
  std::vector<CardMemory> cards;
  for (const CardFile& file : known_cards()) {
    const MemoryFit fit = fit_on_card(file, 0);
    CardMemory card{.name = file.card.name,
                    .title = file.title,
                    .memory_bytes = fit.memory.bytes,
                    .estimated = fit.memory.basis == "estimated"};
    for (const MemoryPart& part : fit.beside) {
      card.beside_bytes += part.bytes;
      card.estimated = card.estimated || (part.basis == "estimated" && part.bytes > 0);
    }
    cards.push_back(std::move(card));
  }
  std::ranges::stable_sort(cards, {}, [](const CardMemory& card) { return card.memory_bytes - card.beside_bytes; });
  return cards;
}

void tell_rungs(ChoiceGroup& group, const MatrixCell& cell, const BudgetFrontier& frontier, const Machine& machine) {
  const Configuration& c = cell.configuration;
  for (const std::size_t rung : rungs_of(group.frontier)) {
    const Step step = with_mask_of(cell, [&](const Shape& mask) {
      return build_step(c.model, c.training, frontier.recipe_of(frontier.members()[rung]), machine, mask);
    });
    group.frontier[rung].repeated = repeated_places(step.program);
  }
}

}  // namespace

BudgetFrontier frontier_of_cell(const MatrixCell& cell, const Machine& machine) {
  return with_mask_of(cell, [&](const Shape& mask) {
    const Configuration& c = cell.configuration;
    return BudgetFrontier(c.model, c.training, recipe_of(c), machine, mask);
  });
}

ChoiceGroup choice_group_of(const MatrixCell& cell, const Machine& machine) {
  const BudgetFrontier frontier = frontier_of_cell(cell, machine);
  ChoiceGroup group{.title = title_of(cell.configuration)};
  for (const FrontierMember& member : frontier.members()) group.frontier.push_back(row_of(frontier, member));
  tell_rungs(group, cell, frontier, machine);
  for (const FrontierMember& member : frontier.dominated()) group.dominated.push_back(row_of(frontier, member));
  const Prices prices = prices_of_cell(cell, machine, {.ceilings = machine.rates});
  group.state_bytes = frontier.planned_peak(frontier.members().front()) - prices.arena_bytes;
  for (const Price& price : prices.rows)
    group.prices.push_back({.target = price.target,
                            .freed_bytes = price.freed_bytes,
                            .added_ns = price.added_ns,
                            .dominated_by = price.dominated_by});
  return group;
}

Choices choices_of(std::span<const MatrixCell> cells, const Machine& machine, std::size_t most_groups) {
  std::vector<std::pair<MatrixCell, std::vector<std::string>>> mixes;  // a cell of each, and the ids of all
  std::map<std::string, std::size_t> known;
  for (const MatrixCell& cell : cells) {
    MatrixCell plain = cell;
    plain.configuration = without_checkpointing(cell.configuration);
    plain.id = cell_id(plain.configuration);
    const auto [found, fresh] = known.try_emplace(canonical_text(plain.configuration), mixes.size());
    if (fresh) mixes.emplace_back(std::move(plain), std::vector<std::string>{});
    mixes[found->second].second.push_back(cell.id);
  }
  std::ranges::stable_sort(mixes, std::ranges::greater{}, [](const auto& mix) { return mix.second.size(); });
  Choices choices{.times_of = machine.rates.name};
  choices.cards = card_memories();
  for (const auto& [cell, ids] : mixes) {
    if (choices.groups.size() == most_groups) {
      ++choices.groups_left_out;
      continue;
    }
    try {
      choices.groups.push_back(choice_group_of(cell, machine));
      choices.groups.back().cells = ids;
    } catch (const Unsupported&) {  // its cells say so
    }
  }
  return choices;
}

void keep_choices(const std::filesystem::path& run, std::span<const MatrixCell> cells, const Machine& machine) {
  const std::filesystem::path file = run / "choices.json";
  try {
    static_cast<void>(read_choices(file));
  } catch (const UsageError&) {  // not there yet, or damaged: it follows from the cells
    write_choices(file, choices_of(cells, machine));
  }
}

}  // namespace stepscope
