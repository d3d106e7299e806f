#include "reports/comparison_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "reports/comparison.h"
#include "reports/explanation.h"
#include "reports/figures.h"
#include "reports/format.h"
#include "reports/report.h"
#include "reports/simulated.h"

namespace stepscope {

namespace {

namespace fs = std::filesystem;

std::string signed_bytes(std::int64_t bytes) {
  if (bytes == 0) return "0";
  return (bytes > 0 ? "+" : "−") + format_bytes(std::abs(as_double(bytes)));
}

std::string mark_of(const CellComparison& cell) {
  if (cell.failed || cell.verdict == Verdict::slower) return "bad";
  if (cell.mended || cell.verdict == Verdict::faster) return "good";
  return cell.verdict == Verdict::undecided ? "muted" : "";
}

TableCell time_cell(const Record& record) {
  if (!has_time(record)) return no_value();
  return number_cell(format_time(record.step_time_ns->median), record.step_time_ns->median);
}

Table cells_table(const RunComparison& comparison) {
  Table table{.name = "cells",
              .caption = comparison.against_sentinel
                             ? "One program made both runs, so only the machine can have changed: each time is taken "
                               "against the reference cell's of its round."
                             : "Times as they were measured: a machine that was slower in one run is in them.",
              .columns = {{.title = "cell", .number = false},
                          {.title = "before"},
                          {.title = "after"},
                          {.title = "after / before", .help = "with its 95 % interval"},
                          {.title = "verdict", .number = false},
                          {.title = "memory", .help = "of the whole peak, exact"}},
              .sortable = true};
  for (const CellComparison& cell : comparison.cells) {
    const bool measured = cell.time.has_value();
    table.rows.push_back({text_cell(cell.label), time_cell(cell.a->record), time_cell(cell.b->record),
                          measured ? number_cell(format_ratio(cell.time->ratio), cell.time->ratio.middle) : no_value(),
                          text_cell(verdict_in_words(cell), mark_of(cell)),
                          measured ? number_cell(signed_bytes(cell.more_bytes()), as_double(cell.more_bytes()),
                                                 cell.more_bytes() > 0   ? "bad"
                                                 : cell.more_bytes() < 0 ? "good"
                                                                         : "")
                                   : no_value()});
  }
  return table;
}

Table environment_table(const RunComparison& comparison) {
  Table table{.name = "environment",
              .caption = "What the two runs tell of themselves and of their machines, where it differs.",
              .columns = {{.title = "what", .number = false},
                          {.title = "before", .number = false},
                          {.title = "after", .number = false}}};
  for (const EnvironmentDifference& one : comparison.environment)
    table.rows.push_back({text_cell(one.what), text_cell(one.a), text_cell(one.b)});
  return table;
}

ReportSection environment_section(const RunComparison& comparison) {
  ReportSection section{.id = "environment", .title = "What differs around them"};
  if (comparison.environment.empty())
    section.blocks.push_back(paragraph("Nothing: machine, program, data and model are the same."));
  else
    section.blocks.push_back(block(environment_table(comparison)));
  if (!comparison.same_program)
    section.blocks.push_back(
        note("The programs differ, so nothing common to all cells can be told apart from a machine that was slower or "
             "faster during one of the runs. Measure both again, one after the other and twice, before a difference of "
             "a few percent is believed."));
  const auto list = [&](const std::vector<const Cell*>& cells, const char* which) {
    if (cells.empty()) return;
    std::string names;
    for (const Cell* cell : cells) names += (names.empty() ? "" : ", ") + cell->record.id;
    section.blocks.push_back(note(fmt::format("Only {}: {}.", which, names)));
  };
  list(comparison.only_a, "before");
  list(comparison.only_b, "after");
  return section;
}

Figure ratios_figure(const RunComparison& comparison) {
  Figure figure{.name = "ratios",
                .title = "Time of a step, after / before",
                .caption =
                    "Points are ratios with their 95 % intervals; the band is the margin of 1 % within which two "
                    "times are called the same.",
                .labels = {{"x", "after / before"}},
                .columns = {"label", "ratio", "low", "high", "verdict"}};
  for (const CellComparison& cell : comparison.cells) {
    if (!cell.time) continue;
    const auto end = [](const std::optional<double>& value) { return value ? raw(*value) : std::string(); };
    figure.rows.push_back({cell.label, raw(cell.time->ratio.middle), end(cell.time->ratio.low),
                           end(cell.time->ratio.high), verdict_in_words(cell)});
  }
  return figure;
}

// The one whose time changed the most, for sure where there is such a one.
const CellComparison* most_changed(const RunComparison& comparison) {
  const CellComparison* most = nullptr;
  const auto weight = [](const CellComparison& cell) {
    const bool sure = cell.verdict == Verdict::slower || cell.verdict == Verdict::faster;
    return std::pair(sure, std::abs(std::log(cell.time->ratio.middle)));
  };
  for (const CellComparison& cell : comparison.cells)
    if (cell.time && explain(*cell.a, *cell.b) && (most == nullptr || weight(cell) > weight(*most))) most = &cell;
  return most;
}

Table bytes_table(const Explanation& why) {
  Table table{.name = "bytes",
              .caption = "Bytes at the predicted peak, after − before, by what they are for; they sum to it exactly.",
              .columns = {{.title = "category", .number = false}, {.title = "difference", .unit = "bytes"}}};
  const auto add = [&](const std::string& name, std::int64_t bytes) {
    table.rows.push_back({text_cell(name), number_cell(format_count(as_double(bytes)), as_double(bytes))});
  };
  for (const auto& [name, bytes] : why.by_category_bytes)
    if (bytes != 0) add(name, bytes);
  add("sum", why.difference_bytes);
  return table;
}

ReportSection why_section(const RunComparison& comparison) {
  ReportSection section{.id = "why", .title = "Why"};
  const CellComparison* cell = most_changed(comparison);
  if (cell == nullptr) {
    section.blocks.push_back(paragraph("No cell was profiled in both runs, so nothing is known of where time went."));
    return section;
  }
  const Explanation why = *explain(*cell->a, *cell->b);
  section.blocks.push_back(paragraph(fmt::format(
      "{} changed the most: {} a step before, {} after. The command explain tells it of any cell.", cell->label,
      format_time(cell->a->record.step_time_ns->median), format_time(cell->b->record.step_time_ns->median))));
  if (why.explains)
    section.blocks.push_back(
        block(waterfall_figure("From before to after", {"before", cell->a->record}, {"after", cell->b->record}, why)));
  else
    section.blocks.push_back(
        note(fmt::format("Its difference, {}, is smaller than what the profiled visits did otherwise than the timed "
                         "ones, {}: it is noise, and its parts mean nothing.",
                         format_time(why.difference_ns), format_time(why.residual_ns))));
  if (why.difference_bytes != 0) section.blocks.push_back(block(bytes_table(why)));
  return section;
}

}  // namespace

Report comparison_report(const MeasuredRun& a, const MeasuredRun& b, const RunComparison& comparison) {
  Report report{.title = fmt::format("stepscope: {} → {}", a.name, b.name), .sentence = sentence_of(comparison)};
  report.facts = {
      {"before", a.name}, {"after", b.name}, {"cells", fmt::format("{} in common", comparison.cells.size())}};
  ReportSection verdicts{.id = "verdicts", .title = "Verdicts"};
  verdicts.blocks.push_back(answer_block(report.sentence));
  if (Figure figure = ratios_figure(comparison); !figure.rows.empty()) verdicts.blocks.push_back(block(figure));
  if (!comparison.cells.empty()) verdicts.blocks.push_back(block(cells_table(comparison)));
  report.sections = {environment_section(comparison), std::move(verdicts), why_section(comparison)};
  if (!is_simulated(a)) return report;
  report.sentence = simulated_sentence(report.sentence);
  return in_words_of_simulation(std::move(report), is_costed(a));
}

void write_comparison(const MeasuredRun& a, const MeasuredRun& b, const RunComparison& comparison,
                      const fs::path& folder) {
  write_document(comparison_report(a, b, comparison), folder / "report");
}

}  // namespace stepscope
