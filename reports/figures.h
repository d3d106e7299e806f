// What each figure draws. A figure of fewer than three points is none: its function then gives nothing.
#pragma once

#include <optional>

#include "model/program/cost.h"
#include "reports/explanation.h"
#include "reports/sections.h"

namespace stepscope {

inline constexpr const char* phases_in_order[] = {"prologue", "forward", "recompute",
                                                  "backward", "update",  "between operations"};

// The cells that detailed figures compare: the reference, then the recommended one where it is another.
[[nodiscard]] std::vector<const Cell*> compared_cells(const Analysis& analysis);
[[nodiscard]] const Visit* learning_visit(const Cell& cell);  // the first good one with a curve; none: null

[[nodiscard]] std::optional<Figure> time_memory_figure(const Analysis& analysis);
[[nodiscard]] std::optional<Figure> techniques_figure(const std::vector<TechniqueEffect>& techniques);
[[nodiscard]] std::optional<Figure> memory_categories_figure(const Analysis& analysis);
[[nodiscard]] std::optional<Figure> memory_timeline_figure(const Analysis& analysis);
[[nodiscard]] std::optional<Figure> time_phases_figure(const Analysis& analysis);
[[nodiscard]] std::optional<Figure> time_operations_figure(const Analysis& analysis);
[[nodiscard]] std::optional<Figure> roofline_figure(const Analysis& analysis, const Card& ceilings);
[[nodiscard]] std::optional<Figure> predicted_time_figure(const Analysis& analysis);
// Byte budgets of one group; of the other groups, side by side; what activations cost.
[[nodiscard]] std::optional<Figure> frontier_figure(const Analysis& analysis, const ChoiceGroup& group);
[[nodiscard]] std::optional<Figure> frontiers_figure(const Analysis& analysis,
                                                     const std::vector<const ChoiceGroup*>& groups);
[[nodiscard]] std::optional<Figure> prices_figure(const ChoiceGroup& group);
struct NamedRecord {
  std::string name;
  const Record& record;
};
// From one cell's time of a step to another's, part by part; both have one.
[[nodiscard]] Figure waterfall_figure(std::string title, const NamedRecord& from, const NamedRecord& to,
                                      const Explanation& explanation);
[[nodiscard]] std::optional<Figure> difference_figure(const Analysis& analysis, const Explanation& explanation);
[[nodiscard]] std::optional<Figure> learning_figure(const Analysis& analysis);

}  // namespace stepscope
