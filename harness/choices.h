// What the cells of a matrix could keep instead of what they do: the byte-budget frontier and the prices of each mix of other fields.
//     const Choices choices = choices_of(cells, machine);       write_choices(run / "choices.json", choices);
#pragma once

#include <span>

#include "harness/cell.h"
#include "model/program/cost.h"
#include "model/training/budget.h"
#include "reports/choices.h"

namespace stepscope {

[[nodiscard]] BudgetFrontier frontier_of_cell(const MatrixCell& cell, const Machine& machine);
[[nodiscard]] ChoiceGroup choice_group_of(const MatrixCell& cell,
                                          const Machine& machine);  // throws as build_cell_step does

// By machine.rates. At most `most_groups` groups, those with the most cells; cells that the machine cannot run are left out.
[[nodiscard]] Choices choices_of(std::span<const MatrixCell> cells, const Machine& machine,
                                 std::size_t most_groups = 4);

// RUN/choices.json, where it is not there yet.
void keep_choices(const std::filesystem::path& run, std::span<const MatrixCell> cells, const Machine& machine);

}  // namespace stepscope
