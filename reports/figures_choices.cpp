// What the choices of a run draw: the curve of byte budgets with the named values and the measured cells, and prices of activations.
#include <fmt/format.h>

#include <algorithm>

#include "reports/choice_groups.h"
#include "reports/figures.h"
#include "reports/format.h"

namespace stepscope {

namespace {

constexpr std::size_t fewest_members = 3;
constexpr std::size_t most_panels = 3;
constexpr std::size_t most_prices = 12;

const std::vector<std::string> frontier_columns = {"group", "kind", "value", "label",   "precision",     "peak_bytes",
                                                   "ratio", "low",  "high",  "step_ns", "no_better_than"};

// The curve, named values, then measured cells.
void add_rows(Figure& figure, const Analysis& analysis, const ChoiceGroup& group) {
  const double everything_ns = keeping_everything_ns(group);
  const std::string precision = precision_of(analysis, group);
  const auto add = [&](const char* kind, const FrontierRow& row) {
    figure.rows.push_back({group.title, kind, row.value, choice_label(row.value), precision,
                           std::to_string(row.peak_bytes), raw(row.step_ns / everything_ns), "", "", raw(row.step_ns),
                           row.dominated_by.empty() ? "" : choice_label(row.dominated_by)});
  };
  std::int64_t least = 0;
  for (const FrontierRow& row : group.frontier) {
    if (least > 0 && row.peak_bytes >= least) continue;  // placing its values wastes more than it saves
    least = row.peak_bytes;
    add("curve", row);
  }
  for (const FrontierRow& row : group.frontier)
    if (row.named) add("named", row);
  for (const FrontierRow& row : group.dominated) add("dominated", row);
  for (const MeasuredChoice& choice : measured_in(analysis, group)) {
    if (!choice.ratio) continue;
    const bool self = choice.value == "none";  // what the others are divided by
    figure.rows.push_back({group.title, "measured", choice.value, choice_label(choice.value), precision,
                           std::to_string(peak_bytes(choice.cell->record)), raw(choice.ratio->middle),
                           choice.ratio->low && !self ? raw(*choice.ratio->low) : "",
                           choice.ratio->high && !self ? raw(*choice.ratio->high) : "",
                           raw(choice.cell->record.step_time_ns->median), ""});
  }
}

}  // namespace

std::optional<Figure> frontier_figure(const Analysis& analysis, const ChoiceGroup& group) {
  if (group.frontier.size() < fewest_members) return std::nullopt;
  const std::vector<MeasuredChoice> measured = measured_in(analysis, group);
  const bool scaled = std::ranges::any_of(measured, [](const MeasuredChoice& choice) { return bool(choice.ratio); });
  Figure figure{
      .name = "frontier",
      .title = "Byte budgets: time against memory",
      .caption =
          "The line is the fastest choice for each budget, predicted: of all choices none is predicted below it. "
          "Circles are values with names, hollow where a budget needs no more bytes and is as fast. ",
      .labels = {{"x", "peak memory"}, {"y", "time of a step, against keeping everything"}, {"measured", "measured"}},
      .columns = frontier_columns};
  figure.caption += scaled
                        ? "Diamonds are measured cells with 95 % intervals (cut where they leave the frame), dotted to "
                          "their prediction. Predicted times "
                          "are divided by the predicted time of keeping everything and measured ones by the measured, "
                          "so that only what a choice adds is compared."
                    : measured.empty() ? "No cell of it was measured."
                                       : "Keeping everything was not measured, so that measured cells cannot be drawn "
                                         "against it.";
  add_rows(figure, analysis, group);
  return figure;
}

std::optional<Figure> frontiers_figure(const Analysis& analysis, const std::vector<const ChoiceGroup*>& groups) {
  Figure figure{.name = "frontiers",
                .title = "Byte budgets of other mixes",
                .caption = "Drawn as above, each against keeping everything in its own mix.",
                .labels = {{"x", "peak memory"}, {"y", "time of a step"}, {"measured", "measured"}},
                .columns = frontier_columns};
  std::size_t panels = 0;
  for (const ChoiceGroup* group : groups) {
    if (group->frontier.size() < fewest_members || panels == most_panels) continue;
    ++panels;
    add_rows(figure, analysis, *group);
  }
  return panels == 0 ? std::nullopt : std::optional<Figure>(std::move(figure));
}

std::optional<Figure> prices_figure(const ChoiceGroup& group) {
  Figure figure{.name = "prices",
                .title = "What a freed GiB costs",
                .caption =
                    "Time added to a step for each GiB by which memory falls, where that one is not kept and all else "
                    "is: the cheapest first. Pale: another one frees no less and adds no more.",
                .labels = {{"x", "price of memory"}},
                .columns = {"target", "freed_bytes", "added_ns", "ns_per_gib", "no_better_than"}};
  std::vector<const PriceRow*> rows;
  for (const PriceRow& row : group.prices)
    if (row.freed_bytes > 0 && row.added_ns > 0) rows.push_back(&row);
  std::stable_partition(rows.begin(), rows.end(), [](const PriceRow* row) { return row->dominated_by.empty(); });
  if (rows.size() > most_prices) rows.resize(most_prices);
  std::ranges::stable_sort(rows, {}, [](const PriceRow* row) { return ns_per_gib(*row); });
  for (const PriceRow* row : rows)
    figure.rows.push_back(
        {row->target, std::to_string(row->freed_bytes), raw(row->added_ns), raw(ns_per_gib(*row)), row->dominated_by});
  return rows.size() < fewest_members ? std::nullopt : std::optional<Figure>(std::move(figure));
}

}  // namespace stepscope
