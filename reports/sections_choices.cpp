// What else a step could keep: byte budgets against time, prices of activations, what fits which memory, what budgets chose.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "reports/choice_groups.h"
#include "reports/figures.h"
#include "reports/format.h"

namespace stepscope {

namespace {

TableCell size_cell(const Unit& unit, std::int64_t bytes) {
  return number_cell(in(unit, as_double(bytes)), as_double(bytes));
}

std::string added_text(double ratio) {
  const double added = ratio - 1;
  if (std::abs(added) < 0.0005) return "0";
  return (added > 0 ? "+" : "−") + format_percent(std::abs(added));
}

// ---- budgets
// The fastest that needs no more bytes; the end of the frontier where none does.
auto beating(const ChoiceGroup& group, const FrontierRow& row) {
  return std::ranges::find_if(group.frontier,
                              [&](const FrontierRow& other) { return other.peak_bytes <= row.peak_bytes; });
}

std::string frontier_sentence(const ChoiceGroup& group, const std::string& times_of) {
  const FrontierRow &all = group.frontier.front(), &least = group.frontier.back();
  std::string text = fmt::format(
      "{}: from {} to {}, {} of them states that no checkpointing moves, there are {} choices of what to keep that "
      "nothing else beats in both bytes and time.",
      group.title, format_bytes(as_double(all.peak_bytes)), format_bytes(as_double(least.peak_bytes)),
      format_bytes(as_double(group.state_bytes)), group.frontier.size());
  double most_saved = 0;
  std::string example;
  for (const FrontierRow& row : group.dominated) {  // of those that free something: where a budget saves most
    const auto better = beating(group, row);
    if (better == group.frontier.end() || better == group.frontier.begin()) continue;
    const double saved = row.step_ns - better->step_ns;
    if (saved <= most_saved || row.repeated_ns <= 0) continue;
    most_saved = saved;
    example = fmt::format(" With the bytes that {} needs, a budget repeats {} a step instead of {}.",
                          choice_label(row.value), format_time(better->repeated_ns), format_time(row.repeated_ns));
  }
  text += example;
  return text +
         fmt::format(" Bytes are planned, as they will be used; times are predicted from the rates of {}.", times_of);
}

Table rungs_table(const ChoiceGroup& group) {
  const Unit sizes = bytes_unit(as_double(group.frontier.front().peak_bytes));
  const double everything_ns = keeping_everything_ns(group);
  Table table{.name = "budgets_to_write",
              .caption =
                  "What to write for a few memory levels, and what it repeats; a place without a count is "
                  "repeated wherever it stands. Any size between them may be written as a budget too.",
              .columns = {{.title = "memory", .unit = sizes.name, .help = "peak of the process: states and arena"},
                          {.title = "write", .number = false},
                          {.title = "adds", .help = "predicted, to the time of keeping everything"},
                          {.title = "repeated", .number = false}}};
  for (const std::size_t rung : rungs_of(group.frontier)) {
    const FrontierRow& row = group.frontier[rung];
    const double ratio = row.step_ns / everything_ns;
    std::string repeated = row.repeated ? repeated_text(*row.repeated) : "–";
    if (row.logits_chunks > 1) repeated += fmt::format("; logits in {} chunks", row.logits_chunks);
    table.rows.push_back({size_cell(sizes, row.peak_bytes), text_cell(choice_setting(row.value), "code"),
                          number_cell(added_text(ratio), ratio), text_cell(std::move(repeated))});
  }
  return table;
}

Table dominated_table(const ChoiceGroup& group) {
  const Unit sizes = bytes_unit(as_double(group.frontier.front().peak_bytes));
  const double everything_ns = keeping_everything_ns(group);
  Table table{.name = "dominated",
              .caption = "Values with names that another choice beats: it needs no more bytes and is as fast.",
              .columns = {{.title = "value", .number = false},
                          {.title = "memory", .unit = sizes.name},
                          {.title = "adds", .help = "predicted, to the time of keeping everything"},
                          {.title = "no better than", .number = false},
                          {.title = "which adds"}}};
  for (const FrontierRow& row : group.dominated) {
    const auto better = beating(group, row);
    const double ratio = row.step_ns / everything_ns;
    table.rows.push_back({text_cell(choice_label(row.value)), size_cell(sizes, row.peak_bytes),
                          number_cell(added_text(ratio), ratio), text_cell(choice_setting(row.dominated_by), "code"),
                          better == group.frontier.end()
                              ? no_value()
                              : number_cell(added_text(better->step_ns / everything_ns), better->step_ns)});
  }
  return table;
}

// ---- prices
std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t most = 6;
  const std::vector<std::string> first(names.begin(),
                                       names.begin() + static_cast<std::ptrdiff_t>(std::min(most, names.size())));
  return fmt::format("{}{}", fmt::join(first, ", "),
                     names.size() > most ? fmt::format(" and {} more", names.size() - most) : "");
}

std::vector<std::string> targets_where(const ChoiceGroup& group, bool (*holds)(const PriceRow&)) {
  std::vector<std::string> targets;
  for (const PriceRow& row : group.prices)
    if (holds(row)) targets.push_back(row.target);
  return targets;
}

void add_price_words(ReportSection& section, const ChoiceGroup& group) {
  const std::vector<std::string> free =
      targets_where(group, [](const PriceRow& row) { return row.freed_bytes > 0 && row.added_ns <= 0; });
  const std::vector<std::string> infinite =
      targets_where(group, [](const PriceRow& row) { return row.freed_bytes <= 0; });
  if (!free.empty())
    section.blocks.push_back(note(fmt::format("Free, as making it again takes no time: {}.", listed(free))));
  if (!infinite.empty())
    section.blocks.push_back(
        note(fmt::format("Not keeping {} frees nothing: the peak does not move.", listed(infinite))));
}

// "8.9 ms/GiB": prices span decades, so that one unit for all would hide the cheap ones.
std::string price_text(double ns) { return format_time(ns) + "/GiB"; }

Table prices_table(const ChoiceGroup& group, const std::string& times_of) {
  Table table{
      .name = "prices",
      .caption = fmt::format(
          "{}: each target of checkpointing and each value of all blocks, not kept alone. Times by the rates of {}.",
          group.title, times_of),
      .columns = {{.title = "not kept", .number = false},
                  {.title = "frees", .help = "by which the arena falls"},
                  {.title = "adds", .help = "to a step"},
                  {.title = "price"},
                  {.title = "no better than", .number = false}},
      .sortable = true,
      .shown_rows = 6};
  for (const PriceRow& row : group.prices) {
    const std::int64_t freed = std::max<std::int64_t>(row.freed_bytes, 0);
    table.rows.push_back(
        {text_cell(row.target), number_cell(format_bytes(as_double(freed)), as_double(freed)),
         number_cell(format_time(row.added_ns), row.added_ns),
         freed > 0 ? number_cell(price_text(ns_per_gib(row)), ns_per_gib(row)) : text_cell("infinite", "muted"),
         text_cell(row.dominated_by, "muted")});
  }
  return table;
}

}  // namespace

Table budgets_table(const Analysis& analysis) {
  Table table{.name = "budgets",
              .caption = "What byte budgets chose. A place without a count is repeated wherever it stands.",
              .columns = {{.title = "cell", .number = false},
                          {.title = "limit", .help = "for states and arena"},
                          {.title = "planned", .help = "states and arena of what was chosen"},
                          {.title = "repeated", .number = false},
                          {.title = "times by the rates of", .number = false}}};
  for (const Cell& cell : analysis.run.cells) {
    const Record& record = cell.record;
    if (!record.budget) continue;
    const BudgetRecord& budget = *record.budget;
    std::string repeated = repeated_text(budget.repeated);
    if (budget.logits_chunks > 1) repeated += fmt::format("; logits in {} chunks", budget.logits_chunks);
    table.rows.push_back(
        {text_cell(analysis.names.label(record), &cell == analysis.best() ? "best" : ""),
         number_cell(format_bytes(as_double(budget.limit_bytes)), as_double(budget.limit_bytes)),
         number_cell(format_bytes(as_double(record.bytes.predicted_peak)), as_double(record.bytes.predicted_peak)),
         text_cell(std::move(repeated)), text_cell(budget.times_of, "muted")});
  }
  return table;
}

ReportSection choices_section(const Analysis& analysis) {
  ReportSection section{.id = "choices", .title = "What to keep, and what a byte costs"};
  const std::vector<const ChoiceGroup*> groups = groups_in_order(analysis);
  if (groups.empty()) return section;
  const ChoiceGroup& first = *groups.front();
  const std::string& times_of = analysis.run.choices->times_of;
  section.blocks.push_back(paragraph(frontier_sentence(first, times_of)));
  if (auto figure = frontier_figure(analysis, first)) section.blocks.push_back(block(std::move(*figure)));
  section.blocks.push_back(block(rungs_table(first)));
  if (!first.dominated.empty()) section.blocks.push_back(block(dominated_table(first)));
  if (auto figure = frontiers_figure(analysis, {groups.begin() + 1, groups.end()}))
    section.blocks.push_back(block(std::move(*figure)));
  if (const int left_out = analysis.run.choices->groups_left_out; left_out > 0)
    section.blocks.push_back(note(
        fmt::format("{} more mix{} of this run {} not drawn: stepscope plan RUN/matrix.toml --frontier prints all.",
                    left_out, left_out == 1 ? "" : "es", left_out == 1 ? "is" : "are")));
  if (auto figure = prices_figure(first)) section.blocks.push_back(block(std::move(*figure)));
  add_price_words(section, first);
  if (!first.prices.empty()) section.blocks.push_back(block(prices_table(first, times_of)));
  return section;
}

}  // namespace stepscope
