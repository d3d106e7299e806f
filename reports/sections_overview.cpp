// What a reader with one minute sees: the answer, time against memory, techniques, and every cell.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "reports/figures.h"
#include "reports/format.h"
#include "reports/sections.h"

namespace stepscope {

namespace {

constexpr std::size_t most_rows_in_figures = 24;

TableCell ratio_cell(const std::optional<Interval>& ratio) {
  return ratio ? number_cell(format_ratio(*ratio), ratio->middle) : no_value();
}

// "-41 %" of a ratio 0.59.
TableCell change_cell(double ratio) {
  const double change = ratio - 1;
  const std::string sign = change > 0 ? "+" : change < 0 ? "−" : "";
  return number_cell(sign + format_percent(std::abs(change)), change,
                     change < -0.005  ? "good"
                     : change > 0.005 ? "bad"
                                      : "");
}

std::optional<Interval> speed_against(const Cell& cell, const Cell* baseline) {
  const std::optional<Interval> ratio = baseline == nullptr ? std::nullopt : time_ratio(cell, *baseline);
  return ratio ? std::optional(inverse(*ratio)) : std::nullopt;
}

TableCell speed_cell(const Cell& cell, const Cell* reference) {
  if (&cell == reference) return number_cell("reference", 1, "muted");
  return ratio_cell(speed_against(cell, reference));
}

// Of a cell that trains another model than the baseline: its own.
const Cell* own_reference(const Analysis& analysis, const Cell& cell) {
  const Cell* own = analysis.run.find(cell.record.numerics.reference);
  return own == nullptr ? analysis.baseline() : own;
}

// Neighbouring sizes with the same answer are one row: "8 to 80 GB".
Table fits_table(const Analysis& analysis) {
  Table table{.name = "fits",
              .caption =
                  "The fastest verified cell for the memory you have. N GB counts as N·10⁹ bytes: the 7 % that cards "
                  "hold beyond it are left to "
                  "the driver's context and libraries.",
              .columns = {{.title = "memory", .number = false},
                          {.title = "fastest cell that fits", .number = false},
                          {.title = "needs"},
                          {.title = "step"},
                          {.title = "speed", .help = "the reference is 1"}}};
  const std::vector<Fit>& fits = analysis.answer.fits;
  for (std::size_t first = 0; first < fits.size();) {
    std::size_t last = first;
    while (last + 1 < fits.size() && fits[last + 1].cell == fits[first].cell && !fits[last + 1].this_machine) ++last;
    const Fit& fit = fits[first];
    std::string size = fit.size;
    if (last > first) size = fmt::format("{} to {}", size.substr(0, size.find(' ')), fits[last].size);
    first = last + 1;
    if (fit.cell == nullptr) {
      const std::string why =
          fit.smallest_bytes == 0
              ? "none: nothing was verified"
              : fmt::format("none: the smallest needs {}", format_bytes(static_cast<double>(fit.smallest_bytes)));
      table.rows.push_back({text_cell(size), text_cell(why, "muted"), no_value(), no_value(), no_value()});
      continue;
    }
    const Record& record = fit.cell->record;
    table.rows.push_back(
        {text_cell(size), text_cell(analysis.names.label(record), fit.cell == analysis.best() ? "best" : ""),
         number_cell(format_bytes(static_cast<double>(peak_bytes(record))), static_cast<double>(peak_bytes(record))),
         number_cell(format_time(record.step_time_ns->median), record.step_time_ns->median),
         speed_cell(*fit.cell, analysis.baseline())});
  }
  return table;
}

Table frontier_table(const Analysis& analysis) {
  Table table{.name = "frontier",
              .caption = "The frontier: with less memory than a row needs, the row above it is the fastest.",
              .columns = {{.title = "from", .help = "the memory it needs"},
                          {.title = "cell", .number = false},
                          {.title = "step"},
                          {.title = "speed", .help = "the reference is 1"},
                          {.title = "memory", .help = "against the reference"}}};
  for (const Cell* cell : analysis.answer.frontier) {
    const Record& record = cell->record;
    const double bytes = static_cast<double>(peak_bytes(record));
    table.rows.push_back({number_cell(format_bytes(bytes), bytes),
                          text_cell(analysis.names.label(record), cell == analysis.best() ? "best" : ""),
                          number_cell(format_time(record.step_time_ns->median), record.step_time_ns->median),
                          speed_cell(*cell, analysis.baseline()),
                          analysis.baseline()
                              ? change_cell(bytes / static_cast<double>(peak_bytes(analysis.baseline()->record)))
                              : no_value()});
  }
  return table;
}

std::string interaction_text(const TechniqueEffect& technique) {
  const Effect &least = technique.effects[technique.interaction->first],
               &most = technique.effects[technique.interaction->second];
  return fmt::format("{} → {} depends on what else is chosen: {} the step time with {}, {} with {}.", technique.from,
                     technique.to, format_ratio(*least.time), least.held, format_ratio(*most.time), most.held);
}

Table techniques_table(const std::vector<TechniqueEffect>& techniques) {
  Table table{.name = "techniques",
              .caption =
                  "Each change against cells that differ in nothing else. The mean is taken within rounds, so that "
                  "drift cancels.",
              .columns = {{.title = "axis", .number = false},
                          {.title = "change", .number = false},
                          {.title = "step time", .help = "ratio with its 95 % interval"},
                          {.title = "verdict", .number = false, .help = "same: within 1 %"},
                          {.title = "peak memory"},
                          {.title = "least", .help = "change of memory over the pairs"},
                          {.title = "most"},
                          {.title = "pairs"}}};
  for (const TechniqueEffect& technique : techniques) {
    const std::string verdict = technique.time ? std::string(name_of(verdict_of(*technique.time))) : "–";
    table.rows.push_back(
        {text_cell(technique.axis), text_cell(fmt::format("{} → {}", technique.from, technique.to)),
         ratio_cell(technique.time),
         text_cell(verdict, verdict == "faster"   ? "good"
                            : verdict == "slower" ? "bad"
                                                  : "muted"),
         change_cell(technique.memory), change_cell(technique.memory_low), change_cell(technique.memory_high),
         number_cell(std::to_string(technique.effects.size()), static_cast<double>(technique.effects.size()))});
  }
  return table;
}

std::string outcome_mark(Outcome outcome) {
  if (outcome == Outcome::ok) return "";
  return outcome == Outcome::skipped || outcome == Outcome::planned ? "muted" : "bad";
}

struct CellUnits {
  Unit time, bytes;
};

// Of the cells that ran: one that does not fit by far must not push all others to 0.07.
CellUnits units_of(const MeasuredRun& run) {
  double time = 0, bytes = 0, planned_bytes = 0;
  for (const Cell& cell : run.cells) {
    const double peak = static_cast<double>(peak_bytes(cell.record));
    if (cell.record.step_time_ns) time = std::max(time, cell.record.step_time_ns->median);
    (cell.record.bytes.used_peak ? bytes : planned_bytes) =
        std::max(cell.record.bytes.used_peak ? bytes : planned_bytes, peak);
  }
  return {time_unit(time), bytes_unit(bytes > 0 ? bytes : planned_bytes)};
}

// A cell that is smaller and no slower pays nothing.
TableCell price_cell(double ms_per_gib) {
  if (ms_per_gib <= 0) return number_cell("0", ms_per_gib);
  return number_cell(ms_per_gib < 1000 ? fmt::format("{:.1f}", ms_per_gib) : format_count(std::round(ms_per_gib)),
                     ms_per_gib);
}

std::vector<TableCell> cell_row(const Analysis& analysis, const Cell& cell, const CellUnits& units) {
  const Record& record = cell.record;
  const auto percent = [](const std::optional<double>& value) {
    return value ? number_cell(fmt::format("{:.1f}", *value * 100), *value) : no_value();
  };
  const auto bytes = [&](std::int64_t value) {
    return number_cell(in(units.bytes, static_cast<double>(value)), static_cast<double>(value));
  };
  const auto error = [](const std::optional<double>& value) {
    return value ? number_cell(format_error(*value), *value) : no_value();
  };
  const bool timed = has_time(record);
  const StepTime time = timed ? *record.step_time_ns : StepTime{};
  const std::string interval =
      time.low ? fmt::format("{}–{}", in(units.time, *time.low), in(units.time, *time.high)) : "–";
  const std::optional<double> price = price_ms_per_gib(analysis.run, cell);
  const std::string mark = &cell == analysis.best() ? "best" : "";
  return {text_cell(analysis.names.label(record), mark),
          text_cell(std::string(name_of(record.outcome)), outcome_mark(record.outcome)),
          timed ? number_cell(in(units.time, time.median), time.median) : no_value(),
          timed ? text_cell(interval, "muted") : no_value(),
          timed ? speed_cell(cell, own_reference(analysis, cell)) : no_value(),
          timed ? number_cell(format_count(*record.tokens_per_second), *record.tokens_per_second) : no_value(),
          percent(timed ? record.mfu : std::nullopt),
          percent(timed ? record.hfu : std::nullopt),
          bytes(record.bytes.predicted_peak),
          record.bytes.used_peak ? bytes(*record.bytes.used_peak) : no_value(),
          record.numerics.loss ? number_cell(format_loss(*record.numerics.loss), *record.numerics.loss) : no_value(),
          error(record.numerics.gradient_error),
          price ? price_cell(*price) : no_value()};
}

Table cells_table(const Analysis& analysis) {
  const CellUnits units = units_of(analysis.run);
  Table table{
      .name = "cells",
      .caption = "Every cell of the matrix. Click a head to sort. Raw numbers: cells.csv.",
      .columns = {{.title = "cell", .number = false},
                  {.title = "outcome", .number = false},
                  {.title = "step", .unit = units.time.name},
                  {.title = "95 %", .unit = units.time.name, .help = "t-interval over visits"},
                  {.title = "speed", .help = "against the cell's reference, within rounds"},
                  {.title = "tokens/s"},
                  {.title = "MFU", .unit = "%", .help = "FLOPs of the mathematics over the peak"},
                  {.title = "HFU", .unit = "%", .help = "FLOPs launched over the peak"},
                  {.title = "predicted", .unit = units.bytes.name},
                  {.title = "used", .unit = units.bytes.name, .help = "measured, state included"},
                  {.title = "loss", .help = "of step 1"},
                  {.title = "gradient error", .help = "largest relative error over parameters, against the reference"},
                  {.title = "price",
                   .unit = "ms/GiB",
                   .help = "step time paid for memory freed, against recomputing nothing"}},
      .sortable = true,
      .shown_rows = analysis.run.cells.size() > 40 ? std::size_t{30} : std::size_t{0}};
  for (const Cell& cell : analysis.run.cells) table.rows.push_back(cell_row(analysis, cell, units));
  return table;
}

// What the matrix itself leaves out is no failure.
Table excluded_table(const Analysis& analysis) {
  Table table{.name = "excluded",
              .caption = "Left out by the matrix.",
              .columns = {{.title = "cell", .number = false}, {.title = "by", .number = false}}};
  for (const Cell& cell : analysis.run.cells) {
    if (cell.record.outcome == Outcome::skipped)
      table.rows.push_back({text_cell(analysis.names.label(cell.record)), text_cell(cell.record.reason)});
  }
  return table;
}

// Cells without a result, and results with a failed visit.
Table failures_table(const Analysis& analysis) {
  Table table{.name = "failures",
              .caption = "What did not work, why, and the command that does it again.",
              .columns = {{.title = "cell", .number = false},
                          {.title = "outcome", .number = false},
                          {.title = "reason", .number = false},
                          {.title = "repeat", .number = false}}};
  for (const Cell& cell : analysis.run.cells) {
    const Record& record = cell.record;
    if (record.outcome == Outcome::skipped) continue;
    if (record.reason.empty() && (record.outcome == Outcome::ok || record.outcome == Outcome::planned)) continue;
    table.rows.push_back({text_cell(analysis.names.label(record)),
                          text_cell(std::string(name_of(record.outcome)), outcome_mark(record.outcome)),
                          text_cell(record.reason),
                          record.repeat.empty() ? no_value() : text_cell(record.repeat, "code")});
  }
  return table;
}

std::string outcomes_text(const MeasuredRun& run) {
  std::vector<std::pair<std::string, int>> counts;
  for (const Cell& cell : run.cells) {
    const std::string outcome(name_of(cell.record.outcome));
    const auto found =
        std::find_if(counts.begin(), counts.end(), [&](const auto& entry) { return entry.first == outcome; });
    found == counts.end() ? void(counts.emplace_back(outcome, 1)) : void(++found->second);
  }
  std::string text = fmt::format("{} cell{}:", run.cells.size(), run.cells.size() == 1 ? "" : "s");
  for (std::size_t i = 0; i < counts.size(); ++i) {
    text += fmt::format("{} {} {}", i == 0 ? "" : ",", counts[i].second, counts[i].first);
  }
  return text + ".";
}

std::string utilisation_text(const MeasuredRun& run) {
  std::vector<std::string> peaks;
  std::string missing = "no peak is known for this machine";
  for (const Cell& cell : run.cells) {
    const Peak& peak = cell.record.peak;
    if (!peak.flops_per_second) {
      if (!peak.source.empty()) missing = peak.source;
      continue;
    }
    std::string text =
        fmt::format("{:.1f} GFLOP/s in {} ({})", *peak.flops_per_second / 1e9, precision_of(cell.record), peak.source);
    if (std::find(peaks.begin(), peaks.end(), text) == peaks.end()) peaks.push_back(std::move(text));
  }
  if (peaks.empty()) return fmt::format("No MFU or HFU: {}.", missing);
  return fmt::format(
      "MFU = FLOPs of the mathematics (attention's causal half) / step time / peak; HFU counts what was launched, "
      "recompute included. The peak is of each cell's own precision: {}.",
      fmt::join(peaks, ", "));
}

}  // namespace

Analysis::Analysis(const MeasuredRun& the_run) : run(the_run), names(the_run), answer(answer_of(the_run, names)) {
  std::set<const Cell*> telling(answer.frontier.begin(), answer.frontier.end());
  telling.insert({answer.baseline, answer.best});
  std::size_t others = telling.size() < most_rows_in_figures ? most_rows_in_figures - telling.size() : 0;
  for (const Cell& cell : run.cells) {
    const bool known = has_time(cell.record) || cell.record.bytes.predicted_peak > 0;
    if (telling.contains(&cell) || (known && run.cells.size() <= most_rows_in_figures)) {
      shown.push_back(&cell);
    } else if (known && has_time(cell.record) && others > 0) {
      shown.push_back(&cell);
      --others;
    }
  }
}

bool Analysis::same_tokens() const {
  return std::all_of(run.cells.begin(), run.cells.end(), [&](const Cell& cell) {
    return cell.record.tokens_per_step == run.cells.front().record.tokens_per_step;
  });
}

ReportSection answer_section(const Analysis& analysis) {
  ReportSection section{.id = "answer", .title = "The answer"};
  section.blocks.push_back(answer_block(analysis.answer.sentence));
  for (const std::string& text : analysis.answer.notes) section.blocks.push_back(note(text));
  std::vector<Block> fits = fits_blocks(analysis);
  if (fits.empty() && !analysis.answer.frontier.empty()) fits.push_back(block(fits_table(analysis)));
  for (Block& part : fits) section.blocks.push_back(std::move(part));
  return section;
}

ReportSection time_memory_section(const Analysis& analysis) {
  ReportSection section{.id = "time-memory", .title = "Time against memory"};
  if (auto figure = time_memory_figure(analysis)) section.blocks.push_back(block(std::move(*figure)));
  if (analysis.answer.frontier.size() > 1) section.blocks.push_back(block(frontier_table(analysis)));
  if (section.blocks.empty())
    section.blocks.push_back(paragraph("Fewer than three verified cells: the table of cells says all there is."));
  return section;
}

ReportSection techniques_section(const Analysis& analysis) {
  ReportSection section{.id = "techniques", .title = "What each technique costs and buys"};
  const std::vector<TechniqueEffect> techniques =
      analysis.baseline() ? techniques_of(analysis.run, analysis.names, *analysis.baseline())
                          : std::vector<TechniqueEffect>{};
  if (techniques.empty()) {
    section.blocks.push_back(
        paragraph("No two verified cells differ in exactly one axis, so no technique can be told from the others."));
    return section;
  }
  if (auto figure = techniques_figure(techniques)) section.blocks.push_back(block(std::move(*figure)));
  section.blocks.push_back(block(techniques_table(techniques)));
  for (const TechniqueEffect& technique : techniques) {
    if (technique.interaction) section.blocks.push_back(note(interaction_text(technique)));
  }
  return section;
}

ReportSection cells_section(const Analysis& analysis) {
  ReportSection section{.id = "cells", .title = "All cells"};
  section.blocks.push_back(paragraph(outcomes_text(analysis.run)));
  section.blocks.push_back(block(cells_table(analysis)));
  if (Table budgets = budgets_table(analysis); !budgets.rows.empty())
    section.blocks.push_back(block(std::move(budgets)));
  if (Table failures = failures_table(analysis); !failures.rows.empty())
    section.blocks.push_back(block(std::move(failures)));
  if (Table excluded = excluded_table(analysis); !excluded.rows.empty())
    section.blocks.push_back(block(std::move(excluded)));
  section.blocks.push_back(note(utilisation_text(analysis.run)));
  return section;
}

}  // namespace stepscope
