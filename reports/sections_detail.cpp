// Where the bytes and the nanoseconds are, and whether the cells learn alike.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>

#include "model/base/any_block.h"
#include "reports/explanation.h"
#include "reports/figures.h"
#include "reports/format.h"
#include "reports/sections.h"

namespace stepscope {

namespace {

// ---- memory
const MemoryTimeline* memory_at_peak_of(const Cell& cell) {
  for (const Visit& visit : cell.visits) {
    if (visit.memory && !visit.memory->live_at_peak.empty()) return &*visit.memory;
  }
  return nullptr;
}

std::string prediction_text(const MeasuredRun& run) {
  int measured = 0, exact = 0;
  std::int64_t largest = 0;
  std::string worst;
  for (const Cell& cell : run.cells) {
    const Bytes& bytes = cell.record.bytes;
    if (!bytes.used_peak) continue;
    ++measured;
    const std::int64_t difference = *bytes.used_peak - bytes.predicted_peak;
    exact += difference == 0 ? 1 : 0;
    if (std::abs(difference) > std::abs(largest)) {
      largest = difference;
      worst = cell.record.id;
    }
  }
  if (measured == 0) return "No cell's memory was measured; the bytes below are the plan's.";
  const std::string all =
      fmt::format("Used memory equals predicted memory to the byte in {} of {} measured cells", exact, measured);
  return exact == measured ? all + "."
                           : fmt::format("{}; the largest difference is {} bytes, in {}.", all,
                                         format_count(as_double(largest)), worst);
}

Table live_set_table(const Analysis& analysis, const Cell& cell, const MemoryTimeline& memory) {
  double largest = 0;
  for (const LiveValue& value : memory.live_at_peak) largest = std::max(largest, as_double(value.bytes));
  const Unit unit = bytes_unit(largest);
  Table table{
      .name = "live_set",
      .caption = fmt::format("{}: the {} values alive at the peak, largest first (operation {}).",
                             analysis.names.label(cell.record), memory.live_at_peak.size(), memory.peak_operation),
      .columns = {{.title = "value", .number = false},
                  {.title = "layer", .number = false},
                  {.title = "shape", .number = false},
                  {.title = "type", .number = false},
                  {.title = "size", .unit = unit.name},
                  {.title = "born", .help = "operation that writes it first"},
                  {.title = "dies", .help = "operation that reads it last"}},
      .shown_rows = 10};
  for (const LiveValue& value : memory.live_at_peak) {
    table.rows.push_back({text_cell(value.name, "code"), text_cell(value.owner), text_cell(value.shape),
                          text_cell(value.dtype), number_cell(in(unit, as_double(value.bytes)), as_double(value.bytes)),
                          number_cell(std::to_string(value.born), value.born),
                          number_cell(std::to_string(value.dies), value.dies)});
  }
  return table;
}

Table prediction_table(const Analysis& analysis) {
  Table table{.name = "prediction",
              .caption =
                  "Predicted and used, in bytes. What the system says the process holds contains the program itself, "
                  "its libraries and buffers of "
                  "the profiler.",
              .columns = {{.title = "cell", .number = false},
                          {.title = "state"},
                          {.title = "arena"},
                          {.title = "predicted"},
                          {.title = "used"},
                          {.title = "used − predicted"},
                          {.title = "system says"},
                          {.title = "beyond the plan"}},
              .sortable = true,
              .shown_rows = 8};
  for (const Cell& cell : analysis.run.cells) {
    const Bytes& bytes = cell.record.bytes;
    if (!bytes.used_peak) continue;
    std::optional<std::int64_t> reported;
    for (const Visit& visit : cell.visits) {
      if (visit.kind == VisitKind::timed && visit.device_reports_bytes)
        reported = std::max(reported.value_or(0), *visit.device_reports_bytes);
    }
    const auto count = [](std::int64_t value) { return number_cell(format_count(as_double(value)), as_double(value)); };
    const std::int64_t difference = *bytes.used_peak - bytes.predicted_peak;
    table.rows.push_back(
        {text_cell(analysis.names.label(cell.record)), count(bytes.state), count(bytes.arena),
         count(bytes.predicted_peak), count(*bytes.used_peak),
         number_cell(format_count(as_double(difference)), as_double(difference), difference == 0 ? "good" : "bad"),
         reported ? count(*reported) : no_value(), reported ? count(*reported - *bytes.used_peak) : no_value()});
  }
  return table;
}

// ---- time
// "blocks.7.mlp.up" -> "blocks.7": a block, or a layer outside of them.
std::string top_layer(const std::string& site) {
  const std::size_t dot = site.find('.');
  if (dot == std::string::npos) return site.empty() ? "(whole model)" : site;
  const std::size_t second = site.find('.', dot + 1);
  const bool indexed = site.find_first_of("0123456789", dot + 1) == dot + 1;
  return site.substr(0, indexed ? second : dot);
}

struct PhaseTimes {
  std::string name;
  std::map<std::string, double> by_phase;
  double total = 0;
  std::int64_t count = 0, flops = 0, bytes = 0;
};

// In the order of the forward pass, whatever came before or after it.
template <class Name>
std::vector<PhaseTimes> times_by(const StepProfile& profile, Name&& name_of_span) {
  std::vector<PhaseTimes> rows;
  const auto row_of = [&](const SpanSum& span) -> PhaseTimes& {
    const std::string name = name_of_span(span);
    const auto row =
        std::find_if(rows.begin(), rows.end(), [&](const PhaseTimes& entry) { return entry.name == name; });
    return row != rows.end() ? *row : *rows.insert(rows.end(), {.name = name, .by_phase = {}});
  };
  for (const SpanSum& span : profile.spans) {
    if (span.phase == "forward") (void)row_of(span);
  }
  for (const SpanSum& span : profile.spans) {
    PhaseTimes& row = row_of(span);
    row.by_phase[span.phase] += span.time_ns;
    row.total += span.time_ns;
    row.count += span.count;
    row.flops += span.flops;
    row.bytes += span.bytes;
  }
  return rows;
}

std::vector<std::string> phases_of(const StepProfile& profile) {
  std::vector<std::string> phases;
  for (const char* phase : phases_in_order) {
    const bool used = std::any_of(profile.spans.begin(), profile.spans.end(),
                                  [&](const SpanSum& span) { return span.phase == phase; });
    if (used) phases.emplace_back(phase);
  }
  return phases;
}

void add_phase_cells(std::vector<TableCell>& cells, const PhaseTimes& row, const std::vector<std::string>& phases,
                     const Unit& unit, double largest) {
  for (const std::string& phase : phases) {
    const auto found = row.by_phase.find(phase);
    if (found == row.by_phase.end()) {
      cells.push_back({});
      continue;
    }
    cells.push_back({.text = in(unit, found->second),
                     .sort = found->second,
                     .mark = "heat",
                     .heat = largest > 0 ? found->second / largest : 0});
  }
}

double largest_of(const std::vector<PhaseTimes>& rows) {
  double largest = 0;
  for (const PhaseTimes& row : rows) {
    for (const auto& [phase, time] : row.by_phase) largest = std::max(largest, time);
  }
  return largest;
}

Table layers_table(const Analysis& analysis, const Cell& cell, const StepProfile& profile) {
  const std::vector<PhaseTimes> rows = times_by(profile, [](const SpanSum& span) { return top_layer(span.site); });
  const std::vector<std::string> phases = phases_of(profile);
  const Unit unit = time_unit(profile.step_ns);
  Table table{.name = "layers",
              .caption = fmt::format("{}: time by layer and phase.", analysis.names.label(cell.record)),
              .columns = {{.title = "layer", .number = false}},
              .shown_rows = 16};
  for (const std::string& phase : phases) table.columns.push_back({.title = phase, .unit = unit.name});
  table.columns.push_back({.title = "all", .unit = unit.name});
  table.columns.push_back({.title = "share", .unit = "%"});
  for (const PhaseTimes& row : rows) {
    std::vector<TableCell> cells{text_cell(row.name)};
    add_phase_cells(cells, row, phases, unit, largest_of(rows));
    cells.push_back(number_cell(in(unit, row.total), row.total));
    cells.push_back(number_cell(fmt::format("{:.1f}", 100 * row.total / profile.step_ns), row.total));
    table.rows.push_back(std::move(cells));
  }
  return table;
}

Table operations_table(const Analysis& analysis, const Cell& cell, const StepProfile& profile) {
  std::vector<PhaseTimes> rows =
      times_by(profile, [](const SpanSum& span) { return any_block(span.site) + "  " + span.operation; });
  std::stable_sort(rows.begin(), rows.end(),
                   [](const PhaseTimes& a, const PhaseTimes& b) { return a.total > b.total; });
  const std::vector<std::string> phases = phases_of(profile);
  const Unit unit = time_unit(profile.step_ns);
  Table table{
      .name = "operations",
      .caption = fmt::format("{}: time by layer, operation and phase, the blocks together, with the rates reached.",
                             analysis.names.label(cell.record)),
      .columns = {{.title = "layer", .number = false}, {.title = "operation", .number = false}},
      .sortable = true,
      .shown_rows = 14};
  for (const std::string& phase : phases) table.columns.push_back({.title = phase, .unit = unit.name});
  for (Column column : {Column{.title = "all", .unit = unit.name}, Column{.title = "share", .unit = "%"},
                        Column{.title = "runs"}, Column{.title = "GFLOP/s"}, Column{.title = "GB/s"}}) {
    table.columns.push_back(std::move(column));
  }
  for (const PhaseTimes& row : rows) {
    const std::size_t gap = row.name.find("  ");
    std::vector<TableCell> cells{text_cell(row.name.substr(0, gap)), text_cell(row.name.substr(gap + 2))};
    add_phase_cells(cells, row, phases, unit, largest_of(rows));
    const double flops_per_ns = as_double(row.flops) / row.total, bytes_per_ns = as_double(row.bytes) / row.total;
    cells.push_back(number_cell(in(unit, row.total), row.total));
    cells.push_back(number_cell(fmt::format("{:.1f}", 100 * row.total / profile.step_ns), row.total));
    cells.push_back(number_cell(format_count(as_double(row.count)), as_double(row.count)));
    cells.push_back(row.flops > 0 ? number_cell(fmt::format("{:.1f}", flops_per_ns), flops_per_ns) : no_value());
    cells.push_back(row.bytes > 0 ? number_cell(fmt::format("{:.1f}", bytes_per_ns), bytes_per_ns) : no_value());
    table.rows.push_back(std::move(cells));
  }
  return table;
}

Table byte_difference_table(const Analysis& analysis, const Explanation& explanation) {
  double largest = 0;
  for (const auto& [category, bytes] : explanation.by_category_bytes)
    largest = std::max(largest, std::abs(as_double(bytes)));
  const Unit unit = bytes_unit(std::max(largest, std::abs(as_double(explanation.difference_bytes))));
  Table table{
      .name = "byte_difference",
      .caption =
          fmt::format("Memory of {} less that of {}, by category; the parts sum to the whole exactly.",
                      analysis.names.label(analysis.best()->record), analysis.names.label(analysis.baseline()->record)),
      .columns = {
          {.title = "category", .number = false}, {.title = "difference", .unit = unit.name}, {.title = "bytes"}}};
  const auto add = [&](const std::string& name, std::int64_t bytes, const std::string& mark) {
    table.rows.push_back({text_cell(name, mark),
                          number_cell(in(unit, as_double(bytes)), as_double(bytes),
                                      bytes < 0   ? "good"
                                      : bytes > 0 ? "bad"
                                                  : "muted"),
                          number_cell(format_count(as_double(bytes)), as_double(bytes), mark)});
  };
  for (const auto& [category, bytes] : explanation.by_category_bytes) add(category, bytes, "");
  add("all", explanation.difference_bytes, "best");
  return table;
}

// ---- learning
std::optional<double> largest_distance(const Visit& a, const Visit& b) {
  std::map<std::int64_t, double> by_tokens;
  for (const LossPoint& point : a.losses) by_tokens[point.tokens_seen] = point.loss;
  std::optional<double> largest;
  for (const LossPoint& point : b.losses) {
    const auto found = by_tokens.find(point.tokens_seen);
    if (found != by_tokens.end()) largest = std::max(largest.value_or(0), std::abs(found->second - point.loss));
  }
  return largest;
}

TableCell distance_cell(const Visit* reference, const Visit& visit) {
  if (reference == nullptr || reference == &visit) return no_value();
  const std::optional<double> distance = largest_distance(*reference, visit);
  return distance ? number_cell(format_error(*distance), *distance) : no_value();
}

Table learning_table(const Analysis& analysis, const std::vector<const Cell*>& cells) {
  const Visit* reference = analysis.baseline() ? learning_visit(*analysis.baseline()) : nullptr;
  Table table{
      .name = "learning",
      .caption = "The learning visits. Distance: the largest difference from the reference's loss at the same token.",
      .columns = {{.title = "cell", .number = false},
                  {.title = "steps"},
                  {.title = "tokens"},
                  {.title = "time"},
                  {.title = "first loss"},
                  {.title = "last loss"},
                  {.title = "validation", .help = "the last one"},
                  {.title = "distance"}}};
  for (const Cell* cell : cells) {
    const Visit& visit = *learning_visit(*cell);
    const LossPoint &first = visit.losses.front(), &last = visit.losses.back();
    table.rows.push_back(
        {text_cell(analysis.names.label(cell->record), cell == analysis.best() ? "best" : ""),
         number_cell(format_count(as_double(static_cast<std::int64_t>(visit.losses.size()))), as_double(last.step)),
         number_cell(format_count(as_double(last.tokens_seen)), as_double(last.tokens_seen)),
         number_cell(format_time(as_double(last.elapsed_ns)), as_double(last.elapsed_ns)),
         number_cell(format_loss(first.loss), first.loss), number_cell(format_loss(last.loss), last.loss),
         visit.validation_losses.empty()
             ? no_value()
             : number_cell(format_loss(visit.validation_losses.back().loss), visit.validation_losses.back().loss),
         distance_cell(reference, visit)});
  }
  return table;
}

}  // namespace

ReportSection memory_section(const Analysis& analysis) {
  ReportSection section{.id = "memory", .title = "Memory"};
  section.blocks.push_back(paragraph(prediction_text(analysis.run)));
  if (auto figure = memory_categories_figure(analysis)) section.blocks.push_back(block(std::move(*figure)));
  if (auto figure = memory_timeline_figure(analysis)) section.blocks.push_back(block(std::move(*figure)));
  std::vector<const Cell*> listed;
  for (const Cell* cell : {analysis.best(), analysis.baseline()}) {
    if (cell == nullptr || std::find(listed.begin(), listed.end(), cell) != listed.end()) continue;
    listed.push_back(cell);
    if (const MemoryTimeline* memory = memory_at_peak_of(*cell))
      section.blocks.push_back(block(live_set_table(analysis, *cell, *memory)));
  }
  for (Table table : {prediction_table(analysis), card_memory_table(analysis)})
    if (!table.rows.empty()) section.blocks.push_back(block(std::move(table)));
  return section;
}

namespace {

std::string unexplained_text(const Analysis& analysis, const Explanation& why) {
  return fmt::format(
      "The difference from {} to {}, {} a step, is not explained: the profiled visits differ from the timed "
      "ones by {}, more than the difference itself.",
      analysis.names.label(analysis.baseline()->record), analysis.names.label(analysis.best()->record),
      format_time(why.difference_ns), format_time(std::abs(why.residual_ns)));
}

}  // namespace

ReportSection time_section(const Analysis& analysis) {
  ReportSection section{.id = "time", .title = "Time by phase, layer and operation"};
  if (auto figure = time_phases_figure(analysis)) section.blocks.push_back(block(std::move(*figure)));
  if (auto figure = time_operations_figure(analysis)) section.blocks.push_back(block(std::move(*figure)));
  if (analysis.best() != nullptr && analysis.baseline() != nullptr && analysis.best() != analysis.baseline()) {
    if (const std::optional<Explanation> why = explain(*analysis.baseline(), *analysis.best())) {
      if (!why->explains) section.blocks.push_back(note(unexplained_text(analysis, *why)));
      if (auto figure = why->explains ? difference_figure(analysis, *why) : std::nullopt)
        section.blocks.push_back(block(std::move(*figure)));
      section.blocks.push_back(block(byte_difference_table(analysis, *why)));
    }
  }
  if (analysis.best() != nullptr) {
    if (const std::optional<StepProfile> profile = profile_of(*analysis.best())) {
      section.blocks.push_back(block(layers_table(analysis, *analysis.best(), *profile)));
      section.blocks.push_back(block(operations_table(analysis, *analysis.best(), *profile)));
    }
  }
  if (analysis.best() != nullptr)
    if (Table table = kernels_table(analysis, *analysis.best()); !table.rows.empty())
      section.blocks.push_back(block(std::move(table)));
  for (Block& part : floor_blocks(analysis)) section.blocks.push_back(std::move(part));
  if (section.blocks.empty())
    section.blocks.push_back(paragraph("No profiled visit was made in this run, so no operation's time is known."));
  return section;
}

ReportSection learning_section(const Analysis& analysis) {
  ReportSection section{.id = "learning", .title = "Learning curves"};
  std::vector<const Cell*> cells;
  for (const Cell& cell : analysis.run.cells) {
    if (learning_visit(cell) != nullptr) cells.push_back(&cell);
  }
  if (cells.empty()) {
    section.blocks.push_back(paragraph("No learning visit was made in this run."));
    return section;
  }
  if (auto figure = learning_figure(analysis)) section.blocks.push_back(block(std::move(*figure)));
  section.blocks.push_back(block(learning_table(analysis, cells)));
  return section;
}

}  // namespace stepscope
